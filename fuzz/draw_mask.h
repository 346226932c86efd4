#pragma once
#include "fuzz/claims.h"
#include "fuzz/draw_sizes.h"
#include "oracle/case.h"

namespace attnfuzz {

/// Draws the mask's rules that are among the words, with parameters around the edges of the case's
/// lengths. `tokens`: kv_len, or the most tokens in a row of the cache.
void draw_mask(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
               Draw& draw, Case& c);

}  // namespace attnfuzz
