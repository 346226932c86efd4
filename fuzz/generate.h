#pragma once
#include <memory>
#include <optional>
#include <string>

#include "fuzz/aim.h"
#include "fuzz/draw.h"
#include "oracle/case.h"
#include "targets/capabilities.h"

namespace attnfuzz {

class Claims;

/// A valid case inside the capabilities (rejection_reason() is empty). Sizes are biased to the
/// edges (0, 1, 2, tile ± 1, odd, chunk ± 1 …) and distinct from each other where the capabilities
/// let them, so that a swapped axis shows and each number in an error text names one axis.
///
/// A Generator reads the capabilities once. Throws InputError where no case can be found inside
/// them, with the claim that stands against it.
class Generator {
 public:
  explicit Generator(const Capabilities& capabilities);
  ~Generator();
  /// `aim`: what the case is to be like, as far as the capabilities and luck let it.
  Case operator()(Draw& draw, const Aim& aim = {}) const;
  /// The same without an exception: none where no case was found, and in `why`, which claim stands
  /// against it.
  std::optional<Case> attempt(Draw& draw, const Aim& aim = {}, std::string* why = nullptr) const;
  const Claims& claims() const { return *claims_; }

 private:
  std::unique_ptr<const Claims> claims_;
};

/// One case of such a Generator.
Case generate(const Capabilities& capabilities, Draw& draw);

}  // namespace attnfuzz
