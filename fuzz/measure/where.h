#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnfuzz::measure {

/// Things (queries, or pairs of a query and a key) with whole numbers that describe them, each of
/// them marked or not; and the simplest condition that says which are marked.
class Where {
 public:
  using Attributes = std::vector<std::pair<std::string_view, int64_t>>;

  /// All things have the same attributes in the same order; the plainest first.
  void add(const Attributes& attributes, bool marked);

  size_t marked() const { return marked_; }
  size_t size() const { return marks_.size(); }
  /// "batch row ≥ 1 and step = 2"; "" where all are marked; none where no condition of one part or
  /// two says it.
  struct Condition {
    bool found = false;
    std::string words;
    int parts = 0;
  };
  Condition condition() const;

 private:
  std::vector<std::string_view> names_;
  std::vector<std::vector<int64_t>> values_;  ///< [attribute][thing]
  std::vector<uint8_t> marks_;
  size_t marked_ = 0;
};

}  // namespace attnfuzz::measure
