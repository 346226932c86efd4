#include "targets/guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

namespace attnfuzz {
namespace {

constexpr std::byte guard_byte{0xA5};

size_t rounded_up(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

/// Mappings that are free again, so that a call does not cost the kernel two of them for each
/// tensor. Never unmapped at exit: a tensor may outlive any static.
struct Pool {
  static constexpr size_t most = 64;
  std::vector<std::pair<size_t, std::byte*>> free;

  static Pool& instance() {
    static thread_local Pool pool;
    return pool;
  }
  std::byte* take(size_t mapped) {
    const auto found = std::find_if(free.begin(), free.end(),
                                    [&](const auto& each) { return each.first == mapped; });
    if (found == free.end()) return nullptr;
    std::byte* start = found->second;
    free.erase(found);
    return start;
  }
  /// Keeps a mapping; false if it has enough of them.
  bool give(size_t mapped, std::byte* start) {
    if (free.size() == most) return false;
    free.emplace_back(mapped, start);
    return true;
  }
};

std::byte* map(size_t mapped) {
  void* all = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  auto* start = static_cast<std::byte*>(all);
  if (mprotect(start + GuardedMemory::fence, mapped - 2 * GuardedMemory::fence,
               PROT_READ | PROT_WRITE) != 0) {
    munmap(all, mapped);
    throw std::bad_alloc();
  }
  return start;
}

bool untouched(const std::byte* from, size_t bytes) {
  return std::all_of(from, from + bytes, [](std::byte x) { return x == guard_byte; });
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes)
    : bytes_(bytes),
      mapped_(rounded_up(bytes + 2 * zone + alignment, static_cast<size_t>(getpagesize())) +
              2 * fence),
      start_(Pool::instance().take(mapped_)) {
  if (start_ == nullptr) start_ = map(mapped_);
  // As near to the far fence as its alignment lets it.
  const size_t usable = mapped_ - 2 * fence;
  data_ = start_ + fence + (usable - zone - bytes_) / alignment * alignment;
  std::fill_n(data_ - zone, zone, guard_byte);
  std::fill_n(data_ + bytes_, zone, guard_byte);
}

GuardedMemory::~GuardedMemory() {
  if (!Pool::instance().give(mapped_, start_)) munmap(start_, mapped_);
}

bool GuardedMemory::written_before() const {
  return !untouched(data_ - zone, zone);
}

bool GuardedMemory::written_past() const {
  return !untouched(data_ + bytes_, zone);
}

}  // namespace attnfuzz
