#pragma once
#include "fuzz/measure/plan.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::when {

/// What a condition may say of one query of a case: where it stands, the step's and the case's
/// sizes, which of two sizes is larger, what they leave when divided by tiles and pages, options.
measure::Where::Attributes attributes_of(const measure::Plan& plan, const measure::Query& query);

/// The same of a step of a case (of a case without steps: step 0), whatever its queries.
measure::Where::Attributes attributes_of(const Case& c, size_t step);

}  // namespace attnfuzz::when
