#pragma once
#include "fuzz/measure/plan.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// What a condition may be made of: where a query stands, in which step, of
/// which head, in a case of which sizes.
Where::Attributes attributes_of(const Plan& plan, const Query& query);

/// The same of a query and a token that its row holds, that of place `j`; what
/// tells keys apart comes first.
Where::Attributes attributes_of(const Plan& plan, const Query& query, const Held& held, size_t j);

}  // namespace attnfuzz::measure
