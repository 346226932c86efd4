#include <cmath>
#include <cstdlib>

#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

void apply(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const double slope = std::exp2(-8.0 * static_cast<double>(context.h + 1) /
                                 static_cast<double>(context.problem.num_heads));
  for (size_t j = 0; j < row.bias.size(); ++j) {
    row.bias[j] -= slope * static_cast<double>(std::abs(context.q_pos - context.key_pos[j]));
  }
}

}  // namespace

/// Press, Smith, Lewis 2022, "Train short, test long", with the slopes 2^(-8 (h + 1) / num_heads)
/// for any number of heads.
extern const RuleSpec alibi;
const RuleSpec alibi = {
    .name = "alibi",
    .words = "always; its score is lowered in proportion to its distance from the query",
    .params = {},
    .positional = true,
    .adds_bias = true,
    .apply = apply};

}  // namespace attnfuzz::masks
