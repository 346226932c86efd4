#pragma once
#include <optional>

#include "targets/zoo/zoo.h"

/// What kernels are tested with today: a fixed parametrised grid, in the manner of
/// flash-attention's tests (test_flash_attn.py: head types × causal × local × ALiBi × softcap ×
/// pairs of lengths, and for caches pages × new tokens), with its judgement: the largest error may
/// be twice that of the same computation with scores in the tensors' type, plus 1e-5.
namespace attnfuzz::bench {

size_t grid_size(zoo::Kernel kernel);

/// The first of the grid's cases that tells the mutant from a right kernel; none.
std::optional<size_t> first_in_grid(const zoo::Mutant& mutant);

}  // namespace attnfuzz::bench
