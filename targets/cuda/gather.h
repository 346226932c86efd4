#pragma once
#include <cstddef>
#include <cstdint>

#include "oracle/host_device.h"

namespace attnfuzz::cuda {

/// Bytes that one thread copies at once.
struct alignas(16) Chunk {
  uint64_t low, high;
};

/// `bytes` from device memory to memory of the host that the device can write to.
struct Piece {
  const unsigned char* from;
  unsigned char* to;
  size_t bytes;
};

/// What one launch brings to the host. A launch's parameters hold 4 KB.
struct Pieces {
  static constexpr int most = 128;
  int count = 0;
  Piece piece[most];
};

/// The part of thread `thread` of `threads` in the copy of a piece: whole chunks where both ends
/// are aligned to them, bytes elsewhere (the zone behind a buffer begins where the buffer ends).
ATTNFUZZ_HOST_DEVICE inline void copy_part(const Piece& piece, size_t thread, size_t threads) {
  const bool aligned = reinterpret_cast<uintptr_t>(piece.from) % sizeof(Chunk) == 0 &&
                       reinterpret_cast<uintptr_t>(piece.to) % sizeof(Chunk) == 0;
  const size_t chunks = aligned ? piece.bytes / sizeof(Chunk) : 0;
  for (size_t k = thread; k < chunks; k += threads)
    reinterpret_cast<Chunk*>(piece.to)[k] = reinterpret_cast<const Chunk*>(piece.from)[k];
  for (size_t k = chunks * sizeof(Chunk) + thread; k < piece.bytes; k += threads)
    piece.to[k] = piece.from[k];
}

}  // namespace attnfuzz::cuda
