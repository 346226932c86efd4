#pragma once
#include <string>

namespace attnfuzz {

/// Tells whether a target forks while it runs a case. A child that comes back from the call as well
/// would answer the request a second time; one that stays would pile up. Only fork() itself is
/// seen, not posix_spawn() and the like, which can't come back.
class ForkWatch {
 public:
  ForkWatch();  ///< watches from here on; one at a time

  /// What is wrong, empty if nothing is. Does not return in a child that came back: it ends there.
  std::string complaint() const;
};

}  // namespace attnfuzz
