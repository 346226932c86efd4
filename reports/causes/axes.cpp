#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

struct KindOf {
  std::string_view word;  ///< found in an axis's name
  AxisKind kind;
};
/// The first word that the name contains decides; products come first.
constexpr KindOf kKinds[] = {
    {"+", AxisKind::with_memory},       {"*", AxisKind::tokens},
    {"tokens", AxisKind::tokens},       {"hidden", AxisKind::tokens},
    {"kv_heads", AxisKind::kv_heads},   {"heads", AxisKind::heads},
    {"group", AxisKind::heads},         {"head_dim", AxisKind::dim},
    {"batch", AxisKind::batch},         {"q_len", AxisKind::q_len},
    {"kv_len", AxisKind::kv_len},       {"past_len", AxisKind::kv_len},
    {"total_len", AxisKind::kv_len},    {"capacity", AxisKind::limit},
    {"page_size", AxisKind::limit},     {"window", AxisKind::limit},
    {"chunk", AxisKind::limit},         {"memory_kv", AxisKind::limit},
    {"max_positions", AxisKind::limit},
};

using K = AxisKind;
/// Order of a and b in the text makes no difference; {a} is always the axis of kind `a`.
constexpr AxisPair kPairs[] = {
    {"mask-axis", K::q_len, K::batch,
     "a mask made along the query axis ({a}) is combined with a tensor whose first axis is batch "
     "({b}): the mask was given or indexed without its batch axis"},
    {"mask-axis", K::kv_len, K::batch,
     "a mask made along the key axis ({a}) is combined with a tensor whose first axis is batch "
     "({b}): the mask was given or indexed without its batch axis"},
    {"mask-length", K::q_len, K::kv_len,
     "a mask or score made for the new queries ({a}) meets one over all keys ({b}): the cached "
     "tokens are left out on one side, or queries and keys are swapped"},
    {"mask-limit", K::limit, K::kv_len,
     "something made for the limit ({a}) meets the keys that are really there ({b}): chunk, window "
     "or capacity is used where the present length is needed"},
    {"mask-limit", K::limit, K::q_len,
     "something made for the limit ({a}) meets the queries ({b}): chunk, window or capacity is "
     "used "
     "where the present length is needed"},
    {"kv-heads", K::heads, K::kv_heads,
     "something made for all query heads ({a}) meets a tensor with the KV heads ({b}): keys, "
     "values or memory were not repeated for the query heads that share them, or were made for the "
     "wrong number"},
    {"axis-swap", K::heads, K::q_len,
     "the head axis ({a}) stands where the length ({b}) is expected: [batch, len, heads, dim] and "
     "[batch, heads, len, dim] are mixed up"},
    {"axis-swap", K::heads, K::kv_len,
     "the head axis ({a}) stands where the length ({b}) is expected: [batch, len, heads, dim] and "
     "[batch, heads, len, dim] are mixed up"},
    {"axis-swap", K::kv_heads, K::kv_len,
     "the KV heads ({a}) stand where the length ({b}) is expected: [batch, len, heads, dim] and "
     "[batch, heads, len, dim] are mixed up"},
    {"axis-swap", K::kv_heads, K::q_len,
     "the KV heads ({a}) stand where the length ({b}) is expected: [batch, len, heads, dim] and "
     "[batch, heads, len, dim] are mixed up"},
    {"head-axis", K::heads, K::batch,
     "the head axis ({a}) meets the batch axis ({b}): a tensor lacks its head axis, or batch and "
     "heads were flattened on one side only"},
    {"head-axis", K::kv_heads, K::batch,
     "the KV heads ({a}) meet the batch axis ({b}): a tensor lacks its head axis, or batch and "
     "heads were flattened on one side only"},
    {"head-dim", K::dim, K::dim,
     "the head sizes of queries/keys and values differ ({a} and {b}), and one is used for the "
     "other"},
    {"head-dim-axis", K::dim, K::heads,
     "the head size ({a}) stands where the number of heads ({b}) is expected: the hidden axis was "
     "split in the wrong order"},
    {"head-dim-axis", K::dim, K::kv_len,
     "the head size ({a}) stands where the length ({b}) is expected: a transpose is missing or one "
     "too many"},
    {"head-dim-axis", K::dim, K::q_len,
     "the head size ({a}) stands where the length ({b}) is expected: a transpose is missing or one "
     "too many"},
    {"memory-keys", K::with_memory, K::kv_len,
     "the memory keys are counted on one side ({a}) and not on the other ({b})"},
    {"hidden", K::tokens, K::tokens,
     "a flattened axis is {a} on one side and {b} on the other: it was flattened over other axes, "
     "or for the query heads where the KV heads were meant"},
    {"mask-keys", K::kv_len, K::kv_len,
     "one side is made for {a} keys, the other for {b}: the mask was made before the sequence was "
     "cut, padded or cached, or cached tokens are left out or counted twice on one side"},
    {"mask-queries", K::q_len, K::q_len,
     "one side is made for {a} queries, the other for {b}: a mask of the prefill is used in a "
     "later "
     "step, or the sequence was cut or padded in between"},
    {"batch-size", K::batch, K::batch,
     "one side has {a}, the other {b}: beams, returned sequences or guidance repeated the batch on "
     "one side only"},
    {"kv-heads", K::heads, K::heads,
     "one side has {a}, the other {b}: keys, values or memory have "
     "another number of heads than what they are combined with"},
    {"kv-heads", K::kv_heads, K::kv_heads,
     "one side has {a}, the other {b}: cache and new keys, or "
     "memory and keys, were made for different numbers of heads"},
};

}  // namespace

AxisKind axis_kind(std::string_view axis) {
  for (const KindOf& row : kKinds)
    if (axis.find(row.word) != axis.npos) return row.kind;
  return AxisKind::other;
}

std::span<const AxisPair> axis_pairs() {
  return kPairs;
}

}  // namespace attnfuzz
