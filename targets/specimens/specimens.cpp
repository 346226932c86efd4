#include "targets/specimens/specimens.h"

namespace attnfuzz {

std::span<const BuiltinTarget> specimen_targets() {
  return {};
}

}  // namespace attnfuzz
