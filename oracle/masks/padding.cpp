#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr std::string_view sides[] = {"left", "right"};
constexpr RuleParam params[] = {{.name = "side", .kind = RuleParam::Kind::choice, .choices = sides},
                                {.name = "lens", .kind = RuleParam::Kind::per_batch, .min = 0}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t len = use.list("lens")[static_cast<size_t>(context.b)];
  if (use.choice("side") == "left") {
    keep_between(context, row, context.problem.kv_len - len, unbounded);
  } else {
    keep_between(context, row, -unbounded, len - 1);
  }
}

}  // namespace

/// Of the row's kv_len slots only `lens` hold real tokens. Hides keys only: a padded query sees
/// whatever the other rules let it.
extern const RuleSpec padding;
const RuleSpec padding = {.name = "padding",
                          .words = "the key is one of the `lens` real tokens of its row",
                          .params = params,
                          .positional = false,
                          .adds_bias = false,
                          .apply = apply,
                          .on_cache = false};

}  // namespace attnfuzz::masks
