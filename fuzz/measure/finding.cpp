#include "fuzz/measure/finding.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "fuzz/measure/calls.h"
#include "fuzz/measure/measure.h"

namespace attnfuzz::measure {
namespace {

constexpr int64_t most_runs = 3000, most_follow_ups = 24;
constexpr size_t most_failing = 8;  ///< that are measured, that first found among them
constexpr size_t most_passing = 2;
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

/// The case first found, more that fail and some that pass, to tell one from the other.
std::vector<Case> cases_of(const Finding& finding, const FollowUps& near) {
  std::vector<Case> cases{finding.original};
  add_different(near.failing, most_failing - 1, cases);
  add_different(near.passing, most_passing, cases);
  return cases;
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
    if (seen.empty()) seen = measure(target, cases_of(finding, near), budget).statements;
    if (seen.empty()) seen = measure(target, std::array{finding.original}, budget).statements;
    if (seen.empty()) seen = measure(target, std::array{finding.shrunk.c}, budget).statements;
  }
  finding.measured.insert(finding.measured.begin(), std::make_move_iterator(seen.begin()),
                          std::make_move_iterator(seen.end()));
}

}  // namespace attnfuzz::measure
