#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "fuzz/generate.h"
#include "fuzz/reach/goal.h"

namespace attnfuzz {

/// Each of a case's numbers moved alone, a little and far, and those that are as good as equal
/// together; lists fit the sizes.
std::vector<Case> with_numbers_moved(const Case& c);

/// Changes cases while they stay inside a target's claims. What it puts in comes from the
/// Generator: one description of the space serves both. New cases are aimed at the goals of reach
/// half of the time, as a campaign's first part is.
class Mutator {
 public:
  explicit Mutator(const Capabilities& capabilities);

  /// A case near c (some of its parts from a new case, numbers moved to edges, or a reduction), or
  /// now and then one that is new altogether, so that a search never stays where it began.
  Case mutate(const Case& c, Draw& draw) const;
  /// A case with parts of both.
  Case cross(const Case& a, const Case& b, Draw& draw) const;

  /// Every byte string is a case: a case file's text is that case if it is inside the claims, any
  /// other bytes are choices for the Generator.
  Case decode(std::span<const uint8_t> bytes) const;
  /// The text of a case, which decode() gives back.
  static std::string encode(const Case& c);

  const std::vector<Goal>& goals() const { return goals_; }

 private:
  /// Whether it is a case inside the claims, with no more than `most` multiplications.
  bool inside(const Case& c, double most = std::numeric_limits<double>::infinity()) const;
  std::optional<Case> new_case(Draw& draw) const;

  Capabilities capabilities_;
  Generator generator_;
  std::vector<Goal> goals_;
};

}  // namespace attnfuzz
