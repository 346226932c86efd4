#pragma once
#include "fuzz/relations/twin.h"

namespace attnfuzz {

/// The padding rule of a case without a cache whose other rules look at distances alone, so that a
/// row's tokens can move together; nullptr where they can not, or there is none.
const RuleUse* movable_padding(const Case& c);
/// The place of row b's first real token.
int64_t first_real(const Case& c, const RuleUse& padding, int64_t b);

/// Makes the first step with tokens, at the start and after a reset, the prefill that it has to be.
void mend_prefills(Case& c);

}  // namespace attnfuzz
