#include "oracle/masks/random_rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices},
    {.name = "keep", .kind = RuleParam::Kind::integer, .max = 100}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const auto [b, h] = coordinates(context, use.integer("shape"));
  const auto keep = static_cast<double>(use.integer("keep"));
  each_element(context, Role::mask, b, h, row.visible.size(), [&](size_t j, double percent) {
    row.visible[j] &= static_cast<uint8_t>(percent < keep);
  });
}

}  // namespace

/// A random boolean mask with (about) `keep` percent of its elements set.
extern const RuleSpec boolean;
const RuleSpec boolean = {.name = "boolean",
                          .words = "the random boolean mask is set there",
                          .params = params,
                          .positional = false,
                          .adds_bias = false,
                          .apply = apply,
                          .on_cache = false,
                          .by_place = true};

}  // namespace attnfuzz::masks
