#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnfuzz::measure {

/// Things (queries, or pairs of a query and a key, or cases) with whole numbers that describe them,
/// each of them marked or not; and the simplest condition that says which are marked.
class Where {
 public:
  struct Attribute {
    std::string_view name;
    int64_t value;
    /// flag: the name says what holds where it is 1. option: the same, but the case's by chance.
    /// limit: a number that a condition may say the least or the most of. difference: of two sizes,
    /// "A − B". residue: what a size leaves. accident: one that a condition is seldom about.
    enum class Kind : uint8_t { number, flag, option, limit, difference, residue, accident } kind;

    Attribute(std::string_view n, int64_t x, Kind of = Kind::number)
        : name(n), value(x), kind(of) {}
    Attribute(std::string_view n, bool x, Kind of = Kind::flag)
        : name(n), value(x ? 1 : 0), kind(of) {}
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
    size_t unmarked = 0;  ///< things that it holds for as well: see nearly()
  };
  Condition condition() const;
  /// The same; where there is none, what all marked things have in common and at most one thing in
  /// so many that is not marked.
  Condition nearly(size_t one_in) const;
  /// "; exactly: batch row ≥ 1" after "; exactly:", "keys that came with a decode" after "keys
  /// with"; empty where no condition tells them, or all are marked.
  std::string words_after(std::string_view what) const;
  static std::string words_after(std::string_view what, const Condition& condition);

 private:
  struct Part;
  std::vector<Part> parts() const;

  std::vector<std::string_view> names_;
  std::vector<Attribute::Kind> kinds_;
  std::vector<std::vector<int64_t>> values_;  ///< [attribute][thing]
  std::vector<uint8_t> marks_;
  size_t marked_ = 0;
};

}  // namespace attnfuzz::measure
