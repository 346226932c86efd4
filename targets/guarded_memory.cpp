#include "targets/guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

namespace attnfuzz {
namespace {

/// In the zones of what is written. Beside what is only read lies what makes a NaN of a float: a
/// value that is read there and used shows.
constexpr std::byte beside_outputs{0xA5}, beside_inputs{0xFF};

size_t rounded_up(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

/// Mappings that are free again, so that a call does not cost the kernel two of them for each
/// tensor. Never unmapped at exit: a tensor may outlive any static.
struct Pool {
  static constexpr size_t most = 64, largest = 4U << 20;  ///< mappings, and bytes of one
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
  /// Keeps a mapping; false if it has enough of them, or it is large.
  bool give(size_t mapped, std::byte* start) {
    if (free.size() == most || mapped > largest) return false;
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

bool untouched(const std::byte* from, size_t bytes, std::byte guard) {
  return std::all_of(from, from + bytes, [guard](std::byte x) { return x == guard; });
}

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, Placement placement)
    : bytes_(bytes),
      mapped_(rounded_up(bytes + 2 * zone + alignment, static_cast<size_t>(getpagesize())) +
              2 * fence),
      start_(Pool::instance().take(mapped_)),
      guard_(placement == Placement::between ? beside_outputs : beside_inputs) {
  if (start_ == nullptr) start_ = map(mapped_);
  std::byte* const first = start_ + fence;
  const size_t usable = mapped_ - 2 * fence;
  const size_t left_behind = placement == Placement::between ? zone : 0;
  data_ = placement == Placement::at_start
              ? first
              : first + (usable - left_behind - bytes_) / alignment * alignment;
  before_ = std::min(zone, static_cast<size_t>(data_ - first));
  past_ = std::min(zone, usable - static_cast<size_t>(data_ - first) - bytes_);
  std::fill_n(data_ - before_, before_, guard_);
  std::fill_n(data_ + bytes_, past_, guard_);
}

GuardedMemory::~GuardedMemory() {
  if (!Pool::instance().give(mapped_, start_)) munmap(start_, mapped_);
}

bool GuardedMemory::written_before() const {
  return !untouched(data_ - before_, before_, guard_);
}

bool GuardedMemory::written_past() const {
  return !untouched(data_ + bytes_, past_, guard_);
}

bool GuardedMemory::is_near(const void* address) const {
  const auto* at = static_cast<const std::byte*>(address);
  return at >= start_ && at < start_ + mapped_;
}

}  // namespace attnfuzz
