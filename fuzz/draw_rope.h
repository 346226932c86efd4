#pragma once
#include "fuzz/draw_sizes.h"

namespace attnfuzz {

/// How many elements rope turns where that is a part of the head. Half and a quarter of the head
/// are what models have.
void draw_rope_dim(Draw& draw, Problem& p);

/// The law's numbers, near those of the case: served models have them in the thousands.
void draw_rope_scaling(bool with_magnitude, int64_t tokens, SizeDrawer& sizes, Draw& draw,
                       Problem& p);

/// Positions that begin anew, as those of packed sequences, that stay at 0 for a while, as with
/// padding on the left, that leave numbers out, or any.
std::vector<int64_t> draw_rope_positions(int64_t count, Draw& draw);

}  // namespace attnfuzz
