#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "fuzz/measure/orders.h"
#include "oracle/case.h"

namespace attnfuzz::measure {

/// Rows of q (of query heads and queries), or of k and v (of KV heads and keys).
enum class RowsOf : uint8_t { queries, keys };

/// From which row of its tensor a row is read: a sum of strides, counted in rows of one head and
/// token, the same in all cases.
class RowAddress {
 public:
  /// What is read in the place of a row [batch row, head, token] by its strides; {−1, −1, −1}
  /// behind the tensor's end.
  Index of(const Problem& p, RowsOf rows, const Index& right) const;
  /// "b·q_len·num_heads + i·num_heads + h"
  std::string words() const;

  /// The plainest addresses other than that of the layout for which `fits` says that all that was
  /// seen comes from there; none: empty. Cases must have one layout.
  static std::string find(Layout layout, RowsOf rows,
                          const std::function<bool(const RowAddress&)>& fits);

 private:
  struct Stride;
  static const std::vector<Stride>& strides();
  static RowAddress right(Layout layout, RowsOf rows);

  std::array<size_t, 3> by_{};  ///< of batch rows, heads and tokens: into strides()
};

}  // namespace attnfuzz::measure
