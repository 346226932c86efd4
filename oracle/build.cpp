#include "oracle/build.h"

namespace attnfuzz::build {

std::string version() {
  return ATTNFUZZ_VERSION;
}
std::string source_dir() {
  return ATTNFUZZ_SOURCE_DIR;
}
std::string binary_dir() {
  return ATTNFUZZ_BINARY_DIR;
}

}  // namespace attnfuzz::build
