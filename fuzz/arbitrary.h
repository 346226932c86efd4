#pragma once
#include <rapidcheck.h>

#include "fuzz/generate.h"

namespace attnfuzz {

/// RapidCheck's generator of cases inside the capabilities, for property tests:
///   rc::check([&] { const Case c = *arbitrary_case(capabilities); … });
inline rc::Gen<Case> arbitrary_case(const Capabilities& capabilities) {
  return rc::gen::map(rc::gen::arbitrary<std::pair<uint64_t, uint64_t>>(),
                      [capabilities](const std::pair<uint64_t, uint64_t>& key) {
                        return generate(capabilities, *seeded_draw(key.first, key.second));
                      });
}

}  // namespace attnfuzz
