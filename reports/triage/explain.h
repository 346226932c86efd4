#pragma once
#include "reports/triage/triage.h"

namespace attnfuzz::triage {

/// Puts in what the reading means: the likely mistake, what the numbers say together, and what to
/// ask.
void explain(Reading& reading);

}  // namespace attnfuzz::triage
