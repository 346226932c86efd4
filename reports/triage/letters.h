#pragma once
#include <span>
#include <string>
#include <vector>

#include "reports/triage/words.h"

/// Letters that name axes: what one stands for depends on those beside it ("N" are the heads of
/// "BTNH" and the tokens of "BHND").
namespace attnfuzz::triage {

/// Takes back guesses that say again what another name of the same shape says better: of "B" and
/// "N" one is the rows.
void keep_each_once(std::vector<AxisGuess>& axes, std::span<const std::string> names);

/// The axes of the names of one shape, in its order; single letters are told by each other.
std::vector<AxisGuess> axes_of_names(std::span<const std::string> names);

/// The axes that a pattern of einsum or einops gives the tensors that it names, the inputs before
/// the output: "b i d, b j d -> b i j", "BTNH,BSNH->BNTS", "(b h) n d -> b n (h d)". Empty for a
/// text that is none.
std::vector<std::vector<AxisGuess>> axes_of_pattern(std::string_view pattern);

}  // namespace attnfuzz::triage
