#pragma once
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include "targets/cuda/block.h"
#include "targets/cuda/number.h"
#include "targets/cuda/report.h"

/// A thread block on the CPU, under the worst schedule that the barriers allow: between two
/// barriers of the block, each warp runs all of its phases before the next warp begins. Shared
/// memory starts as NaN, accesses beyond an array are not made but reported, and so is what two
/// warps do to one element with no barrier between them.
namespace attnfuzz::cuda {

/// Elements of the type with all bits set: a NaN, or −1.
template <class T>
T canary() {
  std::array<unsigned char, sizeof(T)> bytes;
  bytes.fill(0xFF);
  return std::bit_cast<T>(bytes);
}

/// Device memory. Rows of `row` elements may stand `pitch` apart in the addresses of the kernel:
/// far tensors, without the memory between them.
template <class T>
class EmulatedGlobal {
 public:
  using Value = std::remove_const_t<T>;

  EmulatedGlobal() = default;
  EmulatedGlobal(const char* name, T* data, int64_t count, Reports* reports)
      : name_(name), data_(data), count_(count), row_(count), reports_(reports) {}
  EmulatedGlobal(const char* name, T* data, int64_t count, Reports* reports, int64_t row,
                 int64_t pitch)
      : name_(name), data_(data), count_(count), row_(row), pitch_(pitch), reports_(reports) {}
  /// With a byte for each element that says whether it was written.
  EmulatedGlobal(const char* name, T* data, int64_t count, Reports* reports,
                 std::vector<uint8_t>* written)
      : EmulatedGlobal(name, data, count, reports) {
    written_ = written;
  }

  Value at(int64_t i) const {
    const int64_t place = place_of(i, "read");
    if (place < 0) return canary<Value>();
    if (written_ != nullptr && (*written_)[static_cast<size_t>(place)] == 0)
      reports_->notes.add(fmt::format("Uninitialized __global__ memory read: {}", name_));
    return data_[place];
  }
  void set(int64_t i, Value x) const requires(!std::is_const_v<T>) {
    const int64_t place = place_of(i, "write");
    if (place < 0) return;
    data_[place] = x;
    if (written_ != nullptr) (*written_)[static_cast<size_t>(place)] = 1;
  }

 private:
  /// −1 where there is nothing.
  int64_t place_of(int64_t i, std::string_view access) const {
    int64_t place = i;
    if (pitch_ > 0) place = i % pitch_ < row_ && i >= 0 ? i / pitch_ * row_ + i % pitch_ : -1;
    if (place >= 0 && place < count_) return place;
    reports_->error.add(fmt::format("Invalid __global__ {}: {} {}, offset {}", access,
                                    i < 0 ? "before the start of" : "outside", name_,
                                    i < 0 ? -i : i));
    return -1;
  }

  const char* name_ = "";
  T* data_ = nullptr;
  int64_t count_ = 0, row_ = 0, pitch_ = 0;
  Reports* reports_ = nullptr;
  std::vector<uint8_t>* written_ = nullptr;
};

/// Whose turn it is, and since how many barriers: accesses are held against it.
struct EmulatedTurn {
  static constexpr int nobody = -1;  ///< code that all threads run alike
  int warp = nobody;
  uint32_t epoch = 0;
};

/// The last accesses to an element of shared memory.
struct EmulatedAccess {
  uint32_t write_epoch = 0, read_epoch = 0;
  uint8_t writer = 0, readers = 0;  ///< readers: a bit for each warp
};

template <class T>
class EmulatedShared {
 public:
  EmulatedShared(const char* name, T* data, EmulatedAccess* accesses, int64_t count,
                 const EmulatedTurn* turn, Reports* reports)
      : name_(name),
        data_(data),
        accesses_(accesses),
        count_(count),
        turn_(turn),
        reports_(reports) {}

  T at(int64_t i) const {
    if (!inside(i, "read")) return canary<T>();
    if (turn_->warp != EmulatedTurn::nobody) note_read(accesses_[i]);
    return data_[i];
  }
  void set(int64_t i, T x) const {
    if (!inside(i, "write")) return;
    note_write(accesses_[i]);
    data_[i] = x;
  }
  /// `count` elements from i on, as the numbers that they are summed as.
  template <class S>
  void read(int64_t i, int64_t count, S* to) const {
    const bool whole = i >= 0 && i + count <= count_ && turn_->warp != EmulatedTurn::nobody;
    for (int64_t n = 0; n < count && whole; ++n) note_read(accesses_[i + n]);
    for (int64_t n = 0; n < count; ++n) to[n] = widen(whole ? data_[i + n] : at(i + n));
  }

 private:
  bool inside(int64_t i, std::string_view access) const {
    if (i >= 0 && i < count_) return true;
    reports_->notes.add(fmt::format("Invalid __shared__ {}: outside {}", access, name_));
    return false;
  }
  void race(std::string_view first, std::string_view second) const {
    reports_->notes.add(
        fmt::format("Race reported between {} access and {} access: {}", first, second, name_));
  }
  void note_read(EmulatedAccess& access) const {
    if (access.write_epoch == turn_->epoch && access.writer != turn_->warp) race("Write", "Read");
    if (access.read_epoch != turn_->epoch) access.readers = 0;
    access.read_epoch = turn_->epoch;
    access.readers = static_cast<uint8_t>(access.readers | 1U << turn_->warp);
  }
  void note_write(EmulatedAccess& access) const {
    const uint32_t others = ~(1U << turn_->warp);
    if (access.write_epoch == turn_->epoch && access.writer != turn_->warp) race("Write", "Write");
    if (access.read_epoch == turn_->epoch && (access.readers & others) != 0) race("Read", "Write");
    access.write_epoch = turn_->epoch;
    access.writer = static_cast<uint8_t>(turn_->warp);
  }

  const char* name_;
  T* data_;
  EmulatedAccess* accesses_;
  int64_t count_;
  const EmulatedTurn* turn_;
  Reports* reports_;
};

/// Shared memory of one block after the other.
class EmulatedMemory {
 public:
  EmulatedMemory(int64_t bytes, Reports& reports)
      : bytes_(static_cast<size_t>(bytes)), accesses_(bytes_.size()), reports_(reports) {}

  void start_block() {
    used_ = 0;
    std::fill(bytes_.begin(), bytes_.end(), static_cast<unsigned char>(0xFF));
    ++turn.epoch;
  }
  template <class T>
  EmulatedShared<T> take(const char* name, int64_t count) {
    const auto from = used_;
    used_ += shared_bytes(count, sizeof(T));
    if (used_ > static_cast<int64_t>(bytes_.size())) {
      reports_.error.add("Invalid __shared__ access: the launch asked for too little memory");
      return {name, nullptr, nullptr, 0, &turn, &reports_};
    }
    return {
        name,     reinterpret_cast<T*>(bytes_.data() + from), accesses_.data() + from, count, &turn,
        &reports_};
  }

  EmulatedTurn turn;

 private:
  std::vector<unsigned char> bytes_;
  std::vector<EmulatedAccess> accesses_;
  Reports& reports_;
  int64_t used_ = 0;
};

class EmulatedBlock {
 public:
  template <class T>
  using Global = EmulatedGlobal<T>;
  template <class T>
  using Shared = EmulatedShared<T>;
  template <class T>
  using PerThread = std::array<T, threads>;

  EmulatedBlock(int64_t index, EmulatedMemory& memory) : index_(index), memory_(memory) {
    memory_.start_block();
  }
  ~EmulatedBlock() { run_warps(); }
  EmulatedBlock(const EmulatedBlock&) = delete;
  EmulatedBlock& operator=(const EmulatedBlock&) = delete;

  int64_t index() const { return index_; }

  template <class T>
  Shared<T> shared(const char* name, int64_t count) {
    return memory_.take<T>(name, count);
  }

  template <class F>
  void each_thread(Sync sync, F f) {
    each_warp(sync, [f](int warp) {
      for (int lane = 0; lane < warp_size; ++lane) f(warp * warp_size + lane);
    });
  }
  template <class F>
  void each_warp(Sync sync, F f) {
    phases_.emplace_back(std::move(f));
    if (sync == Sync::block) run_warps();
  }

  /// c (+)= a · b for 16 × depth and depth × 16 elements.
  template <class T, class S>
  void multiply_add(const Matrix<Shared<T>>& a, const Matrix<Shared<T>>& b,
                    const Matrix<Shared<S>>& c, int64_t depth, bool add) const {
    std::vector<S>& left = scratch<S>(0);
    std::vector<S>& right = scratch<S>(1);
    left.resize(static_cast<size_t>(tile * depth));
    right.resize(static_cast<size_t>(tile * depth));
    for (int64_t r = 0; r < tile; ++r) a.array.read(a.at(r, 0), depth, &left[index(r * depth)]);
    if (b.transposed) {
      std::vector<S>& column = scratch<S>(2);
      column.resize(static_cast<size_t>(depth));
      for (int64_t n = 0; n < tile; ++n) {
        b.array.read(b.at(0, n), depth, column.data());
        for (int64_t k = 0; k < depth; ++k) right[index(k * tile + n)] = column[index(k)];
      }
    } else {
      for (int64_t k = 0; k < depth; ++k) b.array.read(b.at(k, 0), tile, &right[index(k * tile)]);
    }
    for (int64_t r = 0; r < tile; ++r) {
      std::array<S, tile> sums{};
      if (add) c.array.read(c.at(r, 0), tile, sums.data());
      for (int64_t k = 0; k < depth; ++k)
        for (size_t n = 0; n < tile; ++n)
          sums[n] += left[index(r * depth + k)] * right[index(k * tile) + n];
      for (int64_t n = 0; n < tile; ++n) c.array.set(c.at(r, n), sums[index(n)]);
    }
  }

  int64_t ticket(const Global<uint32_t>& counters, int64_t at, const Shared<int64_t>&) {
    run_warps();
    const uint32_t number = counters.at(at);
    counters.set(at, number + 1);
    return number;
  }

 private:
  template <class S>
  static std::vector<S>& scratch(size_t which) {
    thread_local std::array<std::vector<S>, 3> all;
    return all[which];
  }
  static size_t index(int64_t i) { return static_cast<size_t>(i); }

  /// A barrier of the block.
  void run_warps() {
    for (int warp = 0; warp < warps; ++warp) {
      memory_.turn.warp = warp;
      for (const auto& phase : phases_) phase(warp);
    }
    memory_.turn.warp = EmulatedTurn::nobody;
    ++memory_.turn.epoch;
    phases_.clear();
  }

  int64_t index_;
  EmulatedMemory& memory_;
  std::vector<std::function<void(int)>> phases_;
};

}  // namespace attnfuzz::cuda
