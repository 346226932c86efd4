#include "oracle/masks/random_rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const auto [b, h] = coordinates(context, use.integer("shape"));
  each_element(context, Role::bias, b, h, row.bias.size(), [&](size_t j, double value) {
    row.bias[j] += round_to(context.problem.dtype, value);
  });
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
                       .on_cache = false,
                       .by_place = true};

}  // namespace attnfuzz::masks
