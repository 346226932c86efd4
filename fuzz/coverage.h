#pragma once
#include <cstdint>
#include <vector>

#include "fuzz/judge.h"
#include "targets/capabilities.h"

namespace attnfuzz {

/// What a case covers of the problem space, as numbers below `coverage_points`: each of its feature
/// words and of its sizes' kinds (0, 1, odd, power of two, tile − 1, tile, tile + 1 …), each pair
/// of these, and its rules × layout × dtype × kinds of lengths as a whole. Words that hash
/// alike share a number. Sorted, without repeats.
inline constexpr uint32_t coverage_points = 1U << 16;
std::vector<uint32_t> coverage_of(const Case& c, const Capabilities& capabilities);

/// How near a passing case came to its bound, or by how much a failing one is beyond, in steps of a
/// dtype's own: a number below `error_points` that gets larger with the error.
inline constexpr uint32_t error_points = 1U << 9;
uint32_t error_point(const Case& c, const Verdict& verdict);

}  // namespace attnfuzz
