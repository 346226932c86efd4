#pragma once
#include <cstddef>
#include <cstdint>

namespace attnfuzz {

/// Memory with bytes around it that damage shows on, and beyond these pages that nothing may touch:
/// what is written near it is told by the bytes, what reaches a page faults at once.
class GuardedMemory {
 public:
  static constexpr size_t zone = 4096;     ///< bytes that damage shows on, on a side without a page
  static constexpr size_t alignment = 64;  ///< of data()
  static constexpr size_t fence = 1U << 20;  ///< bytes out of reach on each side

  /// Where the memory lies: between two zones, or so that its end (as near as the alignment lets
  /// it) or its start is at a page that can't be read.
  enum class Placement : int8_t { at_start = -1, between = 0, at_end = 1 };

  /// `bytes` of it, not initialised. Throws std::bad_alloc where there is none.
  explicit GuardedMemory(size_t bytes, Placement placement = Placement::between);
  ~GuardedMemory();
  GuardedMemory(GuardedMemory&&) = delete;
  GuardedMemory& operator=(GuardedMemory&&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool written_before() const;
  bool written_past() const;
  /// Whether an address lies in the memory, its zones or its fences.
  bool is_near(const void* address) const;

 private:
  size_t bytes_, mapped_;
  std::byte *start_, *data_;
  std::byte guard_;
  size_t before_, past_;  ///< bytes on each side that damage shows on
};

}  // namespace attnfuzz
