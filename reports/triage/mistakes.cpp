#include "reports/triage/mistakes.h"

namespace attnfuzz::triage {
namespace {

using K = AxisKind;

constexpr std::string_view kMasks = "mask|bias";
constexpr std::string_view kCaches = "cache|paged cache|memory keys";

/// The special ones first.
constexpr Mistake kMistakes[] = {
    // Rotary tables.
    {"rotary-length", "", "rotary table", K::q_len, K::q_len,
     "the rotary table has the angles of {b} positions where the tensor has {a} tokens: it was "
     "made, cached or cut for another length"},
    {"rotary-length", "", "rotary table", K::q_len, K::kv_len,
     "the rotary table has {b} positions where the tensor has {a} tokens: it was made, cached or "
     "cut for another length"},
    {"rotary-length", "", "rotary table", K::kv_len, K::kv_len,
     "the rotary table has {b} positions where the tensor has {a} tokens: it was made, cached or "
     "cut for another length"},
    {"rotary-length", "", "rotary table", K::q_len, K::limit,
     "the rotary table is used for all of its {b} positions where the tensor has {a} tokens: it is "
     "not cut to them, or too short"},
    {"rotary-length", "", "rotary table", K::tokens, K::q_len,
     "the tensor has {a} (rows and tokens in one axis), the rotary table {b}: it must be taken by "
     "each token's position"},
    {"rotary-features", "", "rotary table", K::dim, K::dim,
     "the rotary table has {b} where the tensor has {a}: it was made for another head size, for "
     "half of it, or for a part that is rotated"},
    {"rotary-features", "", "rotary table", K::tokens, K::dim,
     "the rotary table has {b} features where the tensor has {a}: it was made for another head "
     "size"},
    {"rotary-features", "", "rotary table", K::tokens, K::tokens,
     "the rotary table has {b} features where the tensor has {a}: it was made for another head "
     "size"},
    {"rotary-axis", "", "rotary table", K::heads, K::q_len,
     "the rotary table's positions ({b}) lie on the axis of the heads ({a}): [batch, len, heads, "
     "dim] and [batch, heads, len, dim] are mixed up, or an axis for the heads is missing in the "
     "table"},
    {"rotary-axis", "", "rotary table", K::kv_heads, K::q_len,
     "the rotary table's positions ({b}) lie on the axis of the heads ({a}): [batch, len, heads, "
     "dim] and [batch, heads, len, dim] are mixed up, or an axis for the heads is missing in the "
     "table"},
    {"rotary-axis", "", "rotary table", K::dim, K::q_len,
     "the rotary table's positions ({b}) lie on the axis of the features ({a}): an axis is missing "
     "in the table, or one too many"},
    // Masks and biases.
    {"mask-axis", "", kMasks, K::q_len, K::batch,
     "the mask lacks an axis: its rows ({b}) lie on the axis of the queries ({a})"},
    {"mask-axis", "", kMasks, K::kv_len, K::batch,
     "the mask lacks an axis, or is transposed: {b} lies on the axis of {a}"},
    {"mask-head-axis", "", kMasks, K::heads, K::batch,
     "the mask lacks its head axis, so its rows ({b}) meet the heads ({a})"},
    {"mask-head-axis", "", kMasks, K::heads, K::q_len,
     "the mask lacks its head axis (or has one too few), so {b} meets the heads ({a})"},
    {"mask-head-axis", "", kMasks, K::heads, K::kv_len,
     "the mask lacks an axis, so {b} meets the heads ({a})"},
    {"mask-heads", "", kMasks, K::heads, K::heads,
     "{ta} has {a}, {tb} {b}: the mask or bias was made for other heads, or must have 1 there"},
    {"mask-heads", "", kMasks, K::heads, K::kv_heads,
     "the mask or bias was made for the query heads ({a}) where the scores are grouped by KV heads "
     "({b})"},
    {"mask-heads", "", kMasks, K::tokens, K::tokens,
     "the mask was repeated for {b} where the scores have {a}: rows times heads are counted "
     "differently"},
    {"mask-heads", "", kMasks, K::tokens, K::heads,
     "the scores have rows and heads in one axis ({a}), the mask has {b} there"},
    {"mask-heads", "", kMasks, K::tokens, K::batch,
     "the scores have rows and heads in one axis ({a}), the mask has {b} there: it must be "
     "repeated for the heads"},
    {"mask-limit", "", kMasks, K::limit, K::kv_len,
     "the mask was made for a limit ({a}) where {b} keys are there: a window, a capacity or a "
     "buffer of all positions is used where the present length is needed"},
    {"mask-limit", "", kMasks, K::limit, K::q_len,
     "the mask was made for a limit ({a}) where {b} queries are there"},
    {"mask-keys", "", kMasks, K::kv_len, K::kv_len,
     "{ta} is made for {a}, {tb} for {b}: the mask was made before the sequence was cut, padded or "
     "cached, or cached tokens are left out or counted twice on one side"},
    {"mask-queries", "", kMasks, K::q_len, K::q_len,
     "{ta} is made for {a}, {tb} for {b}: a prefill's mask is used in a later step, or the "
     "sequence was cut or padded in between"},
    {"mask-length", "", kMasks, K::q_len, K::kv_len,
     "a mask made for the new queries ({a}) meets all keys ({b}): the cached tokens are left out "
     "on one side, or queries and keys are swapped"},
    {"mask-batch", "", kMasks, K::batch, K::batch,
     "{ta} is made for {a}, {tb} for {b}: beams, returned sequences or guidance repeated the rows "
     "on one side only"},
    {"memory-keys", "", "", K::with_memory, K::q_len,
     "the memory keys are counted on one side ({a}) and not on the other ({b})"},
    // Caches.
    {"cache-too-short", "", "", K::limit, K::kv_len,
     "there is room for {a} where {b} are needed: the cache, table or buffer is too short, or the "
     "length was not checked before"},
    {"cache-too-short", "", "", K::limit, K::q_len,
     "there is room for {a} where {b} are needed: the cache, table or buffer is too short, or the "
     "length was not checked before"},
    {"cache-too-short", "copy expand limit", kCaches, K::kv_len, K::kv_len,
     "{b} tokens are to be put where {a} have room, or the other way round: the cache was made for "
     "another length"},
    {"cache-heads", "", kCaches, K::kv_heads, K::kv_heads,
     "{ta} has {a}, {tb} {b}: the cache was made for another number of KV heads (for the query "
     "heads, or for one device's share)"},
    {"cache-heads", "", kCaches, K::heads, K::kv_heads,
     "one side has the query heads ({a}), the other the KV heads ({b}): the cache was made for the "
     "wrong ones"},
    {"cache-batch", "", kCaches, K::batch, K::batch,
     "{ta} has {a}, {tb} {b}: the cache was made for another number of rows, or is kept from an "
     "earlier call"},
    {"cache-lengths", "concatenation", "", K::kv_len, K::kv_len,
     "tensors of {a} and {b} are joined along another axis than the length: the axis of the join "
     "is wrong, or lengths were to be made equal first"},
    {"cache-features", "", kCaches, K::dim, K::dim,
     "{ta} has {a}, {tb} {b}: the cache was made for another head size, another layout, or keys "
     "and values differ in theirs"},
    // Features.
    {"hidden", "", "", K::tokens, K::dim,
     "{a} meets {b}: the heads are one axis with the features on one side only"},
    // Rows and lengths.
    {"lengths", "", "", K::q_len, K::kv_len,
     "{ta} has {a}, {tb} {b}: queries and keys were taken for the same tokens, or cached ones are "
     "counted on one side only"},
    {"lengths", "", "", K::kv_len, K::kv_len,
     "{ta} has {a}, {tb} {b}: one was cut, padded or cached and the other not"},
    {"lengths", "", "", K::q_len, K::q_len,
     "{ta} has {a}, {tb} {b}: one was cut, padded or cached and the other not"},
    {"batch-axis", "", "", K::batch, K::q_len,
     "the rows ({a}) stand where the length ({b}) is expected: [batch, len, …] and [len, batch, …] "
     "are mixed up"},
    {"batch-axis", "", "", K::batch, K::kv_len,
     "the rows ({a}) stand where the length ({b}) is expected: [batch, len, …] and [len, batch, …] "
     "are mixed up"},
};

}  // namespace

std::span<const Mistake> mistakes() {
  return kMistakes;
}

}  // namespace attnfuzz::triage
