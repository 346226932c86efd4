#pragma once
#include "fuzz/claims.h"
#include "fuzz/draw_sizes.h"
#include "oracle/case.h"

namespace attnfuzz {

/// How many tokens a row has to hold at some time, and may hold: by the claims and the aim.
Interval aimed_tokens(const Claims& claims, const Aim& aim);

/// Draws the cache's kind and sizes and a sequence of steps that it can hold, of the operations
/// that the target declares. No row gets more than `tokens`. Returns the most that one ever holds.
int64_t draw_steps(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
                   Draw& draw, Case& c);

}  // namespace attnfuzz
