#pragma once
#include <cstdint>

#include "oracle/case.h"

namespace attnfuzz {

/// By which angle rope turns pair n from one position to the next: RopeLaw in oracle/case.h.
double rope_frequency(const Problem& problem, int64_t n);

/// The pairs at which yarn's ramp begins and ends; and before they are rounded outwards, whether or
/// not there are such pairs.
struct RopeRamp {
  double begin, end;
};
RopeRamp rope_ramp(const Problem& problem);
RopeRamp whole_rope_ramp(const Problem& problem);

/// The first thing about rope that keeps a problem from being one; nothing if none does.
std::optional<Rejection> rope_rejection(const Problem& problem);

/// Whether rope turns by the tokens' own positions, unscaled.
inline bool has_plain_rope(const Problem& problem) {
  return problem.rope_scaling.law == RopeLaw::none && problem.rope_positions.empty();
}

/// The base that the law makes of rope_base.
double scaled_rope_base(const Problem& problem);

}  // namespace attnfuzz
