#pragma once
#include <cstdint>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz::fault {

/// Pairs of rows that a fork or a reorder made alike, and the slots of the partly filled page that
/// both write to next.
class SharedPages {
 public:
  struct Pair {
    size_t a, b, begin, end;

    bool has(size_t row) const { return a == row || b == row; }
    size_t other(size_t row) const { return a == row ? b : a; }
  };

  explicit SharedPages(const Case& c);

  /// After a step that copies rows; `sizes`: how many tokens each row then holds.
  void copied(const Step& step, const std::vector<size_t>& sizes);
  /// The pair of `row` is no longer alike.
  void leave(size_t row);
  const std::vector<Pair>& pairs() const { return pairs_; }
  size_t page() const { return page_; }

 private:
  void share(size_t from, size_t to, size_t size);

  size_t page_;
  std::vector<Pair> pairs_;
};

}  // namespace attnfuzz::fault
