#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// Turns q or k of a token at `position` (see Rope). In place; nothing without rope.
void turn(const Problem& problem, int64_t position, std::span<double> x);

/// Gives the elements of each pair that rope turns the same size, with the pair's norm kept: of
/// absolute values, what their products can be when both are turned. Nothing without rope.
void join_pairs(const Problem& problem, std::span<double> sizes);

/// A vector as a cache holds it: `x` becomes what is read from there, error[d] bounds how far from
/// it a correct target may be, given that its x[d] is within off[d] of this one. See bounds.md.
/// `scale` is the head's where scales are by head.
void store(const Cache& cache, DType dtype, double scale, std::span<const double> off,
           std::span<double> x, std::span<double> error);

}  // namespace attnfuzz
