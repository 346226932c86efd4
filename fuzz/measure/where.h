#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnfuzz::measure {

/// Things (queries, or pairs of a query and a key) with whole numbers that
/// describe them, each of them marked or not; and the simplest condition that
/// says which are marked.
class Where {
 public:
  struct Attribute {
    std::string_view name;
    int64_t value;
    /// flag: the name says what holds where it is 1. limit: a number that a condition may say the
    /// least or the most of. accident: one that a condition is seldom about.
    enum class Kind : uint8_t { number, flag, limit, accident } kind;

    Attribute(std::string_view n, int64_t x, Kind of = Kind::number)
        : name(n), value(x), kind(of) {}
    Attribute(std::string_view n, bool x) : name(n), value(x ? 1 : 0), kind(Kind::flag) {}
  };
  using Attributes = std::vector<Attribute>;

  /// All things have the same attributes in the same order; the plainest first.
  void add(const Attributes& attributes, bool marked);

  size_t marked() const { return marked_; }
  size_t size() const { return marks_.size(); }
  /// "batch row ≥ 1 and step = 2"; "" where all are marked; none where no
  /// condition of at most four parts says it.
  struct Condition {
    bool found = false;
    std::string words;
    int parts = 0;
  };
  Condition condition() const;

 private:
  /// A part of a condition: which things it holds for, with all that are marked among them.
  struct Part {
    std::string words;
    std::vector<uint8_t> holds;
    size_t count = 0;
    int cost = 0;
  };
  Condition simplest(const std::vector<Part>& parts) const;
  size_t common(const std::vector<const Part*>& parts) const;

  std::vector<std::string_view> names_;
  std::vector<Attribute::Kind> kinds_;
  std::vector<std::vector<int64_t>> values_;  ///< [attribute][thing]
  std::vector<uint8_t> marks_;
  size_t marked_ = 0;
};

}  // namespace attnfuzz::measure
