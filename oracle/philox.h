#pragma once
#include <cstdint>

#include "oracle/host_device.h"

namespace attnfuzz {

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). Compiled
/// for host and device; targets/python/attnfuzz_philox.py gives the same bits.
struct Philox {
  uint32_t v[4];
};

ATTNFUZZ_HOST_DEVICE inline Philox philox4x32(uint64_t key, uint64_t counter_lo,
                                              uint64_t counter_hi) {
  uint32_t c0 = static_cast<uint32_t>(counter_lo), c1 = static_cast<uint32_t>(counter_lo >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_hi), c3 = static_cast<uint32_t>(counter_hi >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0, b = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(b);
    c3 = static_cast<uint32_t>(a);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// An element's index in its tensor: its coordinates, not its offset, so that a value stays when
/// other axes shrink. Limits: b, h < 2^12; s < 2^24; d < 2^16.
ATTNFUZZ_HOST_DEVICE inline uint64_t element_index(uint64_t b, uint64_t h, uint64_t s, uint64_t d) {
  return b << 52 | h << 40 | s << 16 | d;
}

/// 64 random bits for the element: one Philox block (counter = (index / 2, tensor)) serves two
/// neighbouring indices, the even one words 0–1, the odd one words 2–3.
ATTNFUZZ_HOST_DEVICE inline uint64_t element_bits(uint64_t seed, uint32_t tensor, uint64_t index) {
  const Philox block = philox4x32(seed, index >> 1, tensor);
  const int at = static_cast<int>(index & 1) * 2;
  return block.v[at] | uint64_t{block.v[at + 1]} << 32;
}

/// Close to N(0, 1), by exact arithmetic only (no libm), so the same bits everywhere: the sum of
/// four 16-bit uniforms (Irwin–Hall), centred and divided by its standard deviation. |x| ≤ 3.47.
ATTNFUZZ_HOST_DEVICE inline double normal_from_bits(uint64_t bits) {
  const int64_t sum = static_cast<int64_t>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) +
                                           (bits >> 32 & 0xFFFF) + (bits >> 48));
  // 2 sum − 4·65535 is an exact integer; the constant is 1 / (2 · sqrt(4 (65536² − 1) / 12)).
  return static_cast<double>(2 * sum - 262140) * 1.3214498960651507e-05;
}

}  // namespace attnfuzz
