#include "fuzz/faults/rewrite.h"

#include <algorithm>

namespace attnfuzz::fault {

RuleUse* find(Case& c, std::string_view rule) {
  for (RuleUse& use : c.problem.mask.rules) {
    if (use.spec->name == rule) return &use;
  }
  return nullptr;
}

Rewritten without(Case c, std::string_view rule) {
  const size_t removed = std::erase_if(c.problem.mask.rules,
                                       [&](const RuleUse& use) { return use.spec->name == rule; });
  return removed > 0 ? Rewritten(std::move(c)) : std::nullopt;
}

Rewritten moved(Case c, std::string_view rule, size_t param, int64_t by, int64_t min) {
  RuleUse* use = find(c, rule);
  if (use == nullptr || use->integer(param) + by < min) return std::nullopt;
  use->values[param] = use->integer(param) + by;
  return c;
}

Rewritten moved_lens(Case c, std::string_view rule, size_t param, int64_t by) {
  RuleUse* use = find(c, rule);
  if (use == nullptr) return std::nullopt;
  for (int64_t& len : std::get<std::vector<int64_t>>(use->values[param])) {
    len = std::clamp<int64_t>(len + by, 0, c.problem.kv_len);
  }
  return c;
}

std::vector<ParamValue> wrap_values(const RuleUse& inner) {
  const auto table = rule_table();
  std::vector<ParamValue> values{std::find(table.begin(), table.end(), inner.spec) - table.begin()};
  values.insert(values.end(), inner.values.begin(), inner.values.end());
  return values;
}

void apply_transposed(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  for (size_t j = 0; j < row.visible.size(); ++j) {
    RowContext other = context;
    other.i = context.key_pos[j];
    other.key_pos = {&context.i, 1};
    inner.spec->apply(
        inner, other,
        {row.visible.subspan(j, 1), row.bias.empty() ? row.bias : row.bias.subspan(j, 1)});
  }
}

RuleUse unwrap(const RuleUse& use) {
  return {rule_table()[static_cast<size_t>(use.integer(0))],
          {use.values.begin() + 1, use.values.end()}};
}

}  // namespace attnfuzz::fault
