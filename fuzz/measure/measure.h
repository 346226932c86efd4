#pragma once
#include <memory>
#include <span>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// What a target was seen to compute, by experiments on it.
struct Measurement {
  std::vector<Statement> statements;  ///< what differs from what the cases say; empty: nothing seen
  int64_t cases = 0, runs = 0;        ///< that were measured; what it cost
  double seconds = 0;
};

/// A target as it is measured on one case after another, which it claims; the first matters most.
/// Never throws for what the target does, and asks nothing of it once the budget is used up.
class Measuring {
 public:
  Measuring(Target& target, Budget& budget);
  ~Measuring();
  Measuring(const Measuring&) = delete;
  Measuring& operator=(const Measuring&) = delete;

  void add(const Case& c);
  int64_t cases() const { return cases_; }
  /// What holds over all cases so far.
  std::vector<Statement> statements() const;

 private:
  struct Facts;
  Target& target_;
  Budget& budget_;
  std::unique_ptr<Facts> facts_;
  int64_t cases_ = 0;
};

/// Measures a target on these cases, which it claims, as far as the budget
/// goes; the first matters most. Never throws for what a target does.
Measurement measure(Target& target, std::span<const Case> cases, Budget& budget);

}  // namespace attnfuzz::measure
