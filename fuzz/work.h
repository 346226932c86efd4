#pragma once
#include "oracle/case.h"

namespace attnfuzz {

/// What a case costs, the reference and the target alike: the multiplications for its scores and
/// outputs, all keys counted, whatever the mask hides. A function of the case alone.
double work(const Case& c);

/// A case whose failure is only shrunk, and not explained, until it is shorter.
bool is_long(const Case& c);

}  // namespace attnfuzz
