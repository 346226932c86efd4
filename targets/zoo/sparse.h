#pragma once
#include <vector>

#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {

/// Whether a rule of a pattern (block_sparse, dilated, spans, tree, indices) lets the query see the
/// key; true for any other rule.
bool sees_sparse(const Context& x, const RuleUse& use, const Pair& pair);
/// What the rule relative_bias adds to the pair's score.
double relative_bias(const Context& x, const RuleUse& use, const Pair& pair);
/// The zeros that the mutant of the last block fills it with, for a query that sees the block.
void add_tail(const Context& x, int64_t b, int64_t h, int64_t i, std::vector<Key>& keys);

}  // namespace attnfuzz::zoo
