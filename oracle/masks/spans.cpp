#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "lens", .kind = RuleParam::Kind::lengths, .min = 1}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  int64_t last = context.q_pos, begin = 0;
  for (const int64_t len : use.list("lens")) {
    if (context.q_pos >= begin && context.q_pos < begin + len) last = begin + len - 1;
    begin += len;
  }
  keep_between(context, row, -unbounded, last);
}

}  // namespace

/// Spans that see all of themselves (images, prefixes, blocks of a diffusion model) in a sequence
/// that is causal otherwise. `lens` are the lengths of all spans, in order, the same for every row;
/// a token of text is a span of 1.
extern const RuleSpec spans;
const RuleSpec spans = {.name = "spans",
                        .words = "the key is not after the query, or is in the query's span",
                        .params = params,
                        .positional = true,
                        .adds_bias = false,
                        .apply = apply,
                        .on_cache = false};

}  // namespace attnfuzz::masks
