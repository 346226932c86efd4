#pragma once
#include <cstdint>
#include <span>

#include "oracle/case.h"

namespace attnfuzz {

/// A query as mask rules see it.
struct MaskedQuery {
  size_t step;  ///< 0 without a cache
  int64_t b, h;
  int64_t i;         ///< its number among the row's real queries of the step
  int64_t position;  ///< on the keys' axis
};

/// What the query sees of the keys at `positions`: `row` is set to what the mask's rules and the
/// cache show, and to the bias. Memory keys are not among them: every query sees those.
void show_keys(const Case& c, const MaskedQuery& query, std::span<const int64_t> positions,
               const MaskRow& row);

}  // namespace attnfuzz
