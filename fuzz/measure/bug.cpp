#include "fuzz/measure/bug.h"

#include <algorithm>

namespace attnfuzz::measure {
namespace {

/// The rule that a statement begins with, its numbers aside: what follows are counts and examples.
std::string rule_of(const std::string& words) {
  const size_t end = std::min(words.find(". "), words.find(" (Seen in"));
  std::string rule;
  for (const char c : words.substr(0, end)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit)
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

}  // namespace

std::string bug_key(const Finding& finding) {
  for (const Trial& trial : finding.trials)
    if (trial.explains_all()) return "fault " + trial.fault;
  const auto first = std::find_if(finding.measured.begin(), finding.measured.end(),
                                  [](const Statement& each) { return each.about != "picture"; });
  if (first == finding.measured.end()) return "";
  const std::string rule = rule_of(first->words);
  if (rule.empty()) return "";
  const bool of_mask = first->about == "tokens";
  return first->about + " " + rule + (of_mask ? masks_of(finding.shrunk.c) : "");
}

}  // namespace attnfuzz::measure
