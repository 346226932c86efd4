#pragma once
#include <string>

/// What the build knows of itself: attnfuzz's version, and the folders it was built from and in.
namespace attnfuzz::build {

std::string version();
std::string source_dir();
std::string binary_dir();

}  // namespace attnfuzz::build
