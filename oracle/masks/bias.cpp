#include "oracle/inputs.h"
#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const auto [b, h] = coordinates(context, use.integer(0));
  for (size_t j = 0; j < row.bias.size(); ++j) {
    row.bias[j] += round_to(context.problem.dtype,
                            element(context.data, Role::bias, context.step, b, h, context.i,
                                    context.key_pos[j], context.problem.kv_len));
  }
}

}  // namespace

/// An additive bias, random, given in the problem's dtype.
extern const RuleSpec bias;
const RuleSpec bias = {.name = "bias",
                       .words = "always; a random bias is added to its score",
                       .params = params,
                       .positional = false,
                       .adds_bias = true,
                       .apply = apply,
                       .on_cache = false};

}  // namespace attnfuzz::masks
