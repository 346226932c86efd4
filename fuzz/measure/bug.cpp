#include "fuzz/measure/bug.h"

#include <algorithm>
#include <array>

#include "fuzz/measure/measure.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// How many characters at n are a mark between two numbers of a list; 0: there is none.
size_t list_mark(const std::string& words, size_t n) {
  for (const std::string_view mark : {"–", ", "})
    if (words.compare(n, mark.size(), mark) == 0 && n + mark.size() < words.size() &&
        is_digit(words[n + mark.size()]))
      return mark.size();
  return 0;
}

/// The rule that a statement begins with, its numbers and their signs aside: what follows are
/// counts and examples, and so is what stands in parentheses with numbers.
std::string rule_of(const std::string& words) {
  const std::string first = words.substr(0, std::min(words.find(". "), words.find(" (Seen in")));
  std::string rule;
  for (size_t n = 0; n < first.size(); ++n) {
    const char c = first[n];
    const size_t end = c == '(' ? first.find(')', n) : std::string::npos;
    if (end != std::string::npos &&
        std::any_of(first.begin() + static_cast<std::ptrdiff_t>(n),
                    first.begin() + static_cast<std::ptrdiff_t>(end), is_digit)) {
      n = end;
      continue;
    }
    const bool is_sign = c == '-' && n + 1 < first.size() && is_digit(first[n + 1]);
    // "0–3, 5" is as much a number as "4" is.
    if (const size_t more = list_mark(first, n); more > 0 && !rule.empty() && rule.back() == '#')
      n += more - 1;
    else if (!is_digit(c) && !is_sign)
      rule += c;
    else if (rule.empty() || rule.back() != '#')
      rule += '#';
  }
  return rule;
}

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
std::string rule_of(std::span<const Statement> statements, const Case& c) {
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

bool meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& each) {
    return std::find(b.begin(), b.end(), each) != b.end();
  });
}

}  // namespace

Bug bug_of(const Finding& finding) {
  Bug bug{finding.signature,
          {},
          rule_of(finding.measured, finding.shrunk.c),
          condition_of(finding.measured),
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
    const std::string rule = rule_of(both, finding.shrunk.c);
    const bool one = !rule.empty() && (rule == bug.rule || rule == other.rule || is_one_law(both));
    if (one && count_of(both) <= std::max(bug.statements, other.statements)) return other.signature;
  }
  return "";
}

}  // namespace attnfuzz::measure
