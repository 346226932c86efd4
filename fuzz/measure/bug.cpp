#include "fuzz/measure/bug.h"

#include <algorithm>
#include <array>

#include "fuzz/error_text.h"
#include "fuzz/measure/measure.h"
#include "fuzz/measure/rule.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

/// Rules of masks that are hidden or shown wrongly may be as many bugs.
std::string masks_of(const Case& c) {
  std::string all;
  for (const RuleUse& rule : c.problem.mask.rules) {
    all += ' ';
    all += rule.spec->name;
  }
  return all;
}

size_t count_of(std::span<const Statement> statements) {
  return static_cast<size_t>(std::count_if(statements.begin(), statements.end(),
                                           [](auto& each) { return says_what(each); }));
}

/// Whether what was measured is one formula for all cases, and no choice of parts of which each may
/// be that of some: then cases that have it are of one bug, however few of its terms each shows.
bool is_one_law(std::span<const Statement> statements) {
  const auto first = std::find_if(statements.begin(), statements.end(),
                                  [](const Statement& each) { return says_what(each); });
  return first != statements.end() && first->about == "addresses";
}

/// The rule that the first statement tells; empty: it tells none.
std::string rule_among(std::span<const Statement> statements, const Case& c) {
  const auto first = std::find_if(statements.begin(), statements.end(),
                                  [](const Statement& each) { return says_what(each); });
  if (first == statements.end() || !is_told(*first)) return "";
  // Without a cache it may be that a query sees no key at all: of many bugs.
  if (first->about == "memory" && !c.cached()) return "";
  const bool of_mask = first->about == "tokens";
  return first->about + " " + rule_of(first->words) + (of_mask ? masks_of(c) : "");
}

/// What is said of exactly when the failure happens, without the counts.
std::string condition_of(std::span<const Statement> statements) {
  for (const Statement& each : statements)
    if (each.about == "when") return each.words.substr(0, each.words.find(" (over "));
  return "";
}

/// The options of a case that are named as a condition of its failure.
std::vector<std::string> options_of(std::span<const Statement> statements, const Case& c) {
  std::vector<std::string> named;
  for (const Statement& each : statements) {
    if (!says_when(each)) continue;
    const std::string words = each.words.substr(0, each.words.find(" (over ")) + " and ";
    for (const std::string& option : features(c))
      for (const std::string_view before : {": ", " and "})
        if (words.find(std::string(before) + option + " and ") != std::string::npos)
          named.push_back(option);
  }
  std::sort(named.begin(), named.end());
  return named;
}

bool meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& each) {
    return std::find(b.begin(), b.end(), each) != b.end();
  });
}

}  // namespace

Bug bug_of(const Finding& finding) {
  const Verdict& verdict = finding.last.verdict;
  const std::string error_form =
      verdict.failure == FailureKind::error ? without_numbers(dedup_text(verdict.detail)) : "";
  Bug bug{finding.signature,
          {},
          rule_among(finding.measured, finding.shrunk.c),
          condition_of(finding.measured),
          error_form,
          options_of(finding.measured, finding.original),
          finding.original,
          count_of(finding.measured)};
  for (const Trial& trial : finding.trials)
    if (trial.explains_all()) bug.faults.push_back(trial.fault);
  return bug;
}

bool is_same(const Bug& a, const Bug& b) {
  const bool one_when = !a.when.empty() && a.when == b.when;
  const bool may_be_one = (a.faults.empty() || b.faults.empty()) &&
                          (a.rule.empty() || b.rule.empty() || a.rule == b.rule);
  if (one_when && may_be_one) return true;
  if (!a.error.empty() && a.error == b.error && !a.options.empty() && a.options == b.options)
    return true;
  if (!a.faults.empty() && !b.faults.empty()) return meet(a.faults, b.faults);
  return !a.rule.empty() && a.rule == b.rule;
}

std::string same_rule(Target& target, const Finding& finding, std::span<const Bug> known,
                      double seconds) {
  const Bug bug = bug_of(finding);
  if (bug.statements == 0) return "";
  constexpr int64_t most_runs = 4000;
  Budget budget(most_runs, seconds);
  for (const Bug& other : known) {
    if (other.statements == 0 || (other.rule.empty() && bug.rule.empty())) continue;
    if (!bug.faults.empty() && !other.faults.empty()) continue;
    const std::vector<Statement> both =
        measure(target, std::array{finding.original, other.original}, budget).statements;
    // What was cut short may have seen one of the cases alone.
    if (!budget.allows(1)) break;
    const std::string rule = rule_among(both, finding.shrunk.c);
    const bool one = !rule.empty() && (rule == bug.rule || rule == other.rule || is_one_law(both));
    if (one && count_of(both) <= std::max(bug.statements, other.statements)) return other.signature;
  }
  return "";
}

}  // namespace attnfuzz::measure
