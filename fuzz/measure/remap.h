#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "fuzz/measure/reading.h"
#include "fuzz/measure/row_address.h"
#include "fuzz/measure/terms.h"

namespace attnfuzz::measure {

/// Which token is taken in the place of which, as one rule over all queries that were measured: its
/// row, its KV head, and its place in the row as a function of the right one's.
class Remap {
 public:
  /// What a query lacks, and what it takes that it should not: of all queries that do either.
  void add(const Plan& plan, const Query& query, std::span<const Place> lacks,
           std::span<const Place> takes);
  /// "that of key j − page_size of row 0", for a key j. Empty where no rule says it of all.
  std::string words() const;

 private:
  using At = std::tuple<int64_t, int64_t, int64_t>;  ///< row, KV head, place
  struct Lack {
    At at;
    std::vector<int64_t> numbers;  ///< that its place may be made of
  };
  struct Seen {
    int64_t head, kv_heads, batch;  ///< head: the query's
    std::vector<int64_t> lengths;   ///< tokens that each row holds
    std::vector<Lack> lacks;
    std::multiset<At> takes;
    std::vector<At> kept;  ///< that it takes as it should
    std::shared_ptr<const Problem> problem;
  };
  /// A part of a rule: what takes the place of a row, a KV head, or a place.
  struct Row;
  struct Head;
  struct How;
  bool fits(const Row& row, const Head& head, const How& how, size_t number) const;
  bool fits(const RowAddress& address) const;
  std::string address_words() const;

  std::vector<Seen> seen_;
  std::vector<std::string> names_;  ///< of the numbers
  size_t taken_ = 0;
  bool is_known_ = true;       ///< all that is taken is held by some row
  bool has_addresses_ = true;  ///< no case has steps, and all have one layout
};

}  // namespace attnfuzz::measure
