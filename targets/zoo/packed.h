#pragma once
#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {

/// Whether the rule "packed" lets the query see the key; true for any other rule.
bool sees_packed(const Context& x, const RuleUse& use, const Pair& at);
/// Where query i of packed sequences stands on the keys' axis.
int64_t packed_position(const Context& x, const RuleUse& use, int64_t i, bool at_end);

}  // namespace attnfuzz::zoo
