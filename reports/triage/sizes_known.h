#pragma once
#include <array>

#include "reports/triage/evidence.h"
#include "reports/triage/score.h"

namespace attnfuzz::triage {

/// The logarithm of the probability that an axis has this size where another tensor has `known`
/// there: a multiple of it, or near it, more often than by chance.
double log_near(Axis axis, int64_t size, int64_t known);

/// The sizes that a reading has given to axes so far, and how likely the next one is.
class Sizes {
 public:
  explicit Sizes(const std::vector<Fact>& facts);

  /// Adds the logarithm of the probability that this axis of such a tensor has the size, which it
  /// then has. `named`: the axis that the number stands for: another one where the size is no
  /// surprise there and none at its place (a row's number where the queries' should be).
  void place(Score& score, Role role, Axis axis, int64_t size, Axis& named);

  /// What comes is another tensor's.
  void next_tensor() { other_length_ = 0; }

  /// A logarithm of a probability, and the term of the score to which it belongs.
  struct Chance {
    Term term;
    double log;
  };
  /// The same for a number alone, without setting anything.
  Chance chance(Axis axis, int64_t size, Role role = Role::none) const;
  double log_chance(Axis axis, int64_t size) const { return chance(axis, size).log; }
  /// Whether the report gives this size to the axis of such a tensor.
  bool is_told(Axis axis, int64_t size, Role role) const;
  /// The same for an axis that has these two sizes, as far as the report tells its size and it is
  /// neither.
  double log_neither(Axis axis, int64_t one, int64_t other) const;
  int64_t known(Axis axis) const { return set_[static_cast<size_t>(axis)]; }
  void set(Axis axis, int64_t size) { set_[static_cast<size_t>(axis)] = size; }

  /// Another axis that is known to have this size; none if there is none.
  Axis other_axis_of(int64_t size, Axis but) const;

 private:
  double chance_when_unset(Axis axis, int64_t size) const;
  double related(Axis axis, int64_t size) const;
  int64_t set_or_fact(Axis axis) const;

  static constexpr auto kCount = static_cast<size_t>(Axis::count);
  struct Told {
    int64_t size = 0;
    double trust = 0;
  };
  double trust_in(Axis axis, int64_t size) const;
  static constexpr size_t kMostTold = 3;  ///< a report may give one axis several sizes
  std::array<int64_t, kCount> set_{};
  int64_t other_length_ = 0;             ///< that this tensor has in place of a known one
  std::array<int64_t, kCount> other_{};  ///< that an axis has besides set_: there is an error
  bool has_conflict_ = false;
  std::array<std::array<Told, kMostTold>, kCount> told_{};  ///< the most trusted first
  std::array<std::array<int64_t, 2>, kCount> mask_{};       ///< of the mask, by --shapes
};

}  // namespace attnfuzz::triage
