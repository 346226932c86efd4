#pragma once
#include "fuzz/campaign.h"
#include "fuzz/when/unit.h"

namespace attnfuzz::when {

/// Cases near a finding's, run and judged, and which of their parts went wrong: of wrong values
/// queries, up to the first step with a wrong one; of errors steps.
class Samples {
 public:
  Samples(Target& target, const Finding& finding);

  /// Runs a case that the target claims; false if it does not, or if something else went wrong.
  bool add(const Case& c);
  const measure::Where& where() const { return where_; }
  size_t failing() const { return failing_.size(); }
  size_t passing() const { return passing_; }
  /// Processes that a case ended: new ones may take seconds each.
  size_t ended() const { return ended_; }
  const std::vector<Case>& failing_cases() const { return failing_; }
  /// "queries" or "steps": what the condition tells apart; "cases" where these have no steps.
  std::string_view units() const;

 private:
  bool is_same(const Case& c, const Verdict& verdict) const;
  void add_queries(const Case& c, const Examination& done);
  void add_steps(const Case& c, const Verdict& verdict);

  Target& target_;
  const Finding& finding_;
  bool by_query_, cached_;
  measure::Where where_;
  std::vector<Case> failing_;
  size_t passing_ = 0, ended_ = 0;
};

}  // namespace attnfuzz::when
