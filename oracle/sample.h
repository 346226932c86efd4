// Why a sample: the O(n²) reference of a case as long as a served model's takes seconds to minutes,
// and a campaign has milliseconds. A row of attention depends on its own query and all keys, not on
// other rows. So a long case is judged on some of its query rows, each against all of its keys and
// as sharply as in a short case; of the others nothing is said. Kernels go wrong at the edges of
// their tiles and pages, so the rows beside those come first. The sample is a function of the case
// alone: a replay judges the same rows.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// The judged rows of one output: each of `rows` in each of `heads`. An output's judged elements
/// lie in the order of `heads`, then `rows`, whatever the layout.
struct RowSample {
  struct BatchHead {
    int64_t b = 0, h = 0;
    auto operator<=>(const BatchHead&) const = default;
  };
  std::vector<BatchHead> heads;  ///< ascending
  std::vector<int64_t> rows;     ///< ascending
  int64_t of_heads = 0;          ///< pairs of batch row and head that there are
  int64_t of_rows = 0;           ///< rows of each that there are

  int64_t count() const { return static_cast<int64_t>(heads.size() * rows.size()); }
  /// Which of the judged rows (b, h, row) is; −1: none.
  int64_t find(int64_t b, int64_t h, int64_t row) const;
  bool operator==(const RowSample&) const = default;
};

/// Of each step (one for a case without steps) the query rows that are judged; none: all are, and
/// so where the sample ends before the steps do.
using Sample = std::vector<std::optional<RowSample>>;

/// Rows of a step are drawn where all of them cost more than this many multiplications.
inline constexpr double most_multiplications = 0x1p26;

/// What a case is judged on: all rows but for long cases.
Sample sample_of(const Case& c);

/// "64 of 4096 query rows: 0, 1, 15, 16, …", and in how many heads, where not in all of them.
std::string words_of(const RowSample& sample);

}  // namespace attnfuzz
