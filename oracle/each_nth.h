#pragma once

namespace attnfuzz::testing {

/// Sanitizers make a run ten times as long. Of a long list, or of many random cases, whose members
/// take the same way through the code the sanitized tests take each third, the plain ones all.
#ifdef __SANITIZE_ADDRESS__
inline constexpr int each_nth = 3;
#else
inline constexpr int each_nth = 1;
#endif

}  // namespace attnfuzz::testing
