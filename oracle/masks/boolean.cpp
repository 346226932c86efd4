#include "oracle/inputs.h"
#include "oracle/masks/rule.h"
#include "oracle/philox.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices},
    {.name = "keep", .kind = RuleParam::Kind::integer, .max = 100}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const auto [b, h] = coordinates(context, use.integer(0));
  const auto keep = static_cast<uint64_t>(use.integer(1));
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const uint64_t index =
        element_index(static_cast<uint64_t>(b), static_cast<uint64_t>(h),
                      static_cast<uint64_t>(context.i), static_cast<uint64_t>(context.key_pos[j]));
    const uint64_t bits =
        element_bits(context.data.seed, tensor_number(Role::mask, context.step), index);
    row.visible[j] &= static_cast<uint8_t>((bits >> 32) * 100 >> 32 < keep);
  }
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
                          .on_cache = false};

}  // namespace attnfuzz::masks
