#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "q_lens", .kind = RuleParam::Kind::q_lens},
                                {.name = "kv_lens", .kind = RuleParam::Kind::kv_lens}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const PackedSequence own = sequence_of(use, context.i);
  keep_between(context, row, own.kv_begin, own.kv_begin + own.kv_len - 1);
}

}  // namespace

/// Sequences of different lengths behind one another on one axis of tokens, as kernels take them
/// with cu_seqlens_q and cu_seqlens_k ("varlen", "thd"). Queries and keys have lengths of their
/// own; Align holds for each sequence by itself.
extern const RuleSpec packed;
const RuleSpec packed = {.name = "packed",
                         .words = "key and query are in the same of the packed sequences",
                         .params = params,
                         .positional = false,
                         .adds_bias = false,
                         .apply = apply,
                         .on_cache = false,
                         .by_place = true};

}  // namespace attnfuzz::masks
