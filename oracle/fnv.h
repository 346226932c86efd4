#pragma once
#include <cstdint>
#include <string_view>

namespace attnfuzz {

/// FNV-1a, 64 bits (Fowler, Noll and Vo): the same on every machine, so it may stand in files.
constexpr uint64_t fnv1a(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325U;
  for (const char x : text) h = (h ^ static_cast<unsigned char>(x)) * 0x100000001b3U;
  return h;
}

}  // namespace attnfuzz
