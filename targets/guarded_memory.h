#pragma once
#include <cstddef>
#include <memory>

namespace attnfuzz {

/// Memory between two guard zones of bytes that damage shows on, and beyond each zone pages that
/// nothing may touch: what is written near it is told by the zone, what goes further faults at
/// once.
class GuardedMemory {
 public:
  static constexpr size_t zone = 4096;       ///< bytes on each side
  static constexpr size_t alignment = 256;   ///< of data(); DLPack asks for it
  static constexpr size_t fence = 1U << 20;  ///< bytes out of reach on each side

  /// `bytes` of it, not initialised. Throws std::bad_alloc where there is none.
  explicit GuardedMemory(size_t bytes);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&&) = delete;
  GuardedMemory& operator=(GuardedMemory&&) = delete;

  std::byte* data() const { return data_; }
  bool written_before() const;
  bool written_past() const;

 private:
  size_t bytes_, mapped_;
  std::byte *start_, *data_;
};

}  // namespace attnfuzz
