#include "fuzz/measure/tokens/hidden_by.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "fuzz/measure/visible_atoms.h"

namespace attnfuzz::measure {

void HiddenBy::add(const Plan& plan, const Query& query, const std::set<size_t>& keys) {
  if (keys.empty()) return;
  std::set<std::string_view> every;
  for (const RuleUse& rule : plan.c.problem.mask.rules) {
    if (rule.spec->adds_bias) continue;
    const std::vector<uint8_t> shown = shown_by(plan, query, rule, query.position, query.b);
    const auto hides = [&](size_t key) { return shown[key] == 0; };
    if (std::any_of(keys.begin(), keys.end(), hides)) some_.insert(rule.spec->name);
    if (std::all_of(keys.begin(), keys.end(), hides)) every.insert(rule.spec->name);
  }
  if (!any_)
    every_ = std::move(every);
  else
    std::erase_if(every_, [&](std::string_view name) { return every.count(name) == 0; });
  any_ = true;
}

std::string HiddenBy::words() const {
  const std::set<std::string_view>& names = every_.empty() ? some_ : every_;
  return names.empty() ? ""
                       : fmt::format(" by \"{}\"",
                                     fmt::join(names, every_.empty() ? "\" or \"" : "\" and \""));
}

}  // namespace attnfuzz::measure
