#include "fuzz/relations/padding.h"

#include <algorithm>

namespace attnfuzz {

const RuleUse* movable_padding(const Case& c) {
  static constexpr std::string_view movable[] = {"causal", "window", "alibi", "padding"};
  const Problem& p = c.problem;
  if (c.cached() || p.q_len != p.kv_len) return nullptr;
  // These go by the number of keys and by their places.
  if (p.rope_scaling.law == RopeLaw::dynamic_ntk || !p.rope_positions.empty()) return nullptr;
  if (p.memory_kv > 0 && uses(c, "rope")) return nullptr;  // memory has no position to move with
  for (const RuleUse& use : p.mask.rules)
    if (std::find(std::begin(movable), std::end(movable), use.spec->name) == std::end(movable))
      return nullptr;
  return p.mask.find("padding");
}

int64_t first_real(const Case& c, const RuleUse& padding, int64_t b) {
  const bool left =
      padding.spec->params[0].choices[static_cast<size_t>(padding.integer(0))] == name(Side::left);
  return left ? c.problem.kv_len - padding.list(1)[static_cast<size_t>(b)] : 0;
}

void mend_prefills(Case& c) {
  bool filled = false;
  for (Step& step : c.steps) {
    if (step.has_tokens()) {
      if (!filled) step.op = StepOp::prefill;
      filled = true;
    }
    if (step.op == StepOp::reset) filled = false;
  }
}

}  // namespace attnfuzz
