#include "fuzz/measure/finding.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "fuzz/measure/calls.h"
#include "fuzz/measure/measure.h"
#include "fuzz/measure/rule.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

constexpr int64_t most_runs = 3000, most_follow_ups = 24;
/// Cases that are measured at first, that first found among them, those that are added at a time,
/// and how many there are at most.
constexpr size_t first_failing = 8, first_passing = 2, more_failing = 4, more_passing = 1,
                 most_measured = 25;
constexpr int64_t most_runs_each = 60;  ///< for a case beside the one first found

bool is_of_values(const Finding& finding) {
  const FailureKind kind = finding.last.verdict.failure;
  // What a cache says of itself may be wrong because of what it does with its tokens.
  if (kind == FailureKind::shape) return finding.original.cached();
  return kind == FailureKind::mismatch || kind == FailureKind::nan || kind == FailureKind::ignored;
}

bool is_small(const Case& c) {
  const Problem& p = c.problem;
  int64_t tokens = p.kv_len;
  for (const Step& step : c.steps) tokens += step.has_tokens() ? step.keys() : 0;
  const int64_t sources = p.batch * p.num_kv_heads * tokens;
  return sources <= most_runs_each * std::max<int64_t>(1, p.head_dim_v);
}

/// The sizes and options in which cases that are to tell a rule should differ.
using Marks = std::set<std::pair<std::string, int64_t>>;
Marks marks_of(const Case& c) {
  Marks all;
  for (const ProblemSize& size : problem_sizes()) all.emplace(size.name, c.problem.*size.member);
  for (const std::string& word : features(c)) all.emplace(word, 1);
  if (c.cached()) {
    all.emplace("capacity", c.cache->capacity);
    all.emplace("page_size", c.cache->page_size);
  }
  return all;
}

/// Adds small cases, one after another that which differs most from those that are there.
void add_different(const std::vector<Case>& from, size_t most, std::vector<Case>& to) {
  struct Candidate {
    const Case* c;
    Marks fresh;  ///< marks that no case has that is there
  };
  Marks known;
  for (const Case& c : to) known.merge(marks_of(c));
  std::vector<Candidate> left;
  for (const Case& c : from)
    if (is_small(c) && std::find(to.begin(), to.end(), c) == to.end())
      left.push_back({&c, marks_of(c)});
  for (; most > 0 && !left.empty(); --most) {
    for (Candidate& each : left)
      std::erase_if(each.fresh, [&](const auto& mark) { return known.count(mark) != 0; });
    const auto best = std::max_element(
        left.begin(), left.end(),
        [](const Candidate& a, const Candidate& b) { return a.fresh.size() < b.fresh.size(); });
    to.push_back(*best->c);
    known.merge(best->fresh);
    left.erase(best);
  }
}

/// The rules that were measured, without counts and examples.
std::vector<std::string> rules_of(const std::vector<Statement>& statements) {
  std::vector<std::string> all;
  for (const Statement& each : statements)
    if (says_what(each)) all.push_back(each.about + " " + without_counts(each.words));
  return all;
}

/// What was measured of the case first found, of more that fail and of some that pass. A rule that
/// few cases show may be one of many that hold for them: more of them are measured until the rules
/// stay as they are.
std::vector<Statement> measured_over(Target& target, const Finding& finding, const FollowUps& near,
                                     double seconds, Budget& budget) {
  Measuring measuring(target, budget);
  std::vector<Case> cases{finding.original};
  size_t done = 0;
  const auto add = [&](size_t failing, size_t passing) {
    add_different(near.failing, failing, cases);
    const bool more = cases.size() > done;
    if (more) add_different(near.passing, passing, cases);
    for (; done < cases.size(); ++done) measuring.add(cases[done]);
    return more;
  };
  add(first_failing - 1, first_passing);
  std::vector<Statement> seen = measuring.statements();
  while (cases.size() < most_measured && budget.allows(1) && budget.elapsed() < seconds / 4 &&
         std::any_of(seen.begin(), seen.end(),
                     [](auto& each) { return says_what(each) && is_told(each); })) {
    const std::vector<std::string> before = rules_of(seen);
    if (!add(more_failing, more_passing)) break;
    seen = measuring.statements();
    if (rules_of(seen) == before) break;
  }
  return seen;
}

}  // namespace

bool can_be_measured(const Finding& finding) {
  return is_of_values(finding) && finding.learned.alone && finding.before.empty();
}

FollowUps near_cases(Target& target, Finding& finding, double seconds) {
  FollowUps near = follow_up(target, finding, most_follow_ups, seconds);
  finding.trials = near.trials;
  return near;
}

void measure_finding(Target& target, Finding& finding, const FollowUps& near, double seconds) {
  std::vector<Statement> seen;
  if (finding.last.verdict.failure == FailureKind::nondeterminism && finding.learned.alone)
    seen = repeated_calls(target, finding.shrunk.c);
  if (can_be_measured(finding)) {
    Budget budget(most_runs, seconds);
    seen = changing_values(target, finding.original);
    if (seen.empty()) seen = measured_over(target, finding, near, seconds, budget);
    if (seen.empty()) seen = measure(target, std::array{finding.original}, budget).statements;
    if (seen.empty()) seen = measure(target, std::array{finding.shrunk.c}, budget).statements;
  }
  finding.measured.insert(finding.measured.begin(), std::make_move_iterator(seen.begin()),
                          std::make_move_iterator(seen.end()));
}

}  // namespace attnfuzz::measure
