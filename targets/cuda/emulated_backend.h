#pragma once
#include <cstring>
#include <deque>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "targets/cuda/emulated_block.h"

namespace attnfuzz::cuda {

/// A device in host memory. Blocks run one after another, the last one first: no kernel may count
/// on their order. Batch rows of far tensors stand 2^30 elements apart.
class EmulatedBackend {
 public:
  using Block = EmulatedBlock;
  static constexpr int64_t pitch = int64_t{1} << 30;

  // Allocation and copies, as a Buffer needs them.
  static constexpr size_t zone() { return 256; }
  static constexpr bool fills() { return true; }
  void* allocate(size_t bytes) { return ::operator new(bytes); }
  void release(void* memory) { ::operator delete(memory); }
  void fill(void* memory, unsigned char byte, size_t bytes) { std::memset(memory, byte, bytes); }
  void copy(void* to, const void* from, size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);  // of nothing the host has no address
  }
  void copy_in(void* device, const void* host, size_t bytes) { copy(device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) { copy(host, device, bytes); }
  void wait() {}
  std::string refusal() { return {}; }

  template <class T>
  EmulatedGlobal<T> global(const char* name, T* data, int64_t count) {
    return {name, data, count, &reports_};
  }
  /// `row` elements at a time, pitch apart.
  template <class T>
  EmulatedGlobal<T> far(const char* name, T* data, int64_t count, int64_t row) {
    return {name, data, count, &reports_, row, pitch};
  }
  /// Whose elements may only be read once they were written.
  template <class T>
  EmulatedGlobal<T> workspace(const char* name, T* data, int64_t count) {
    written_.emplace_back(static_cast<size_t>(count), uint8_t{0});
    return {name, data, count, &reports_, &written_.back()};
  }

  /// Kernel::run for each block; what goes wrong is told by error().
  template <class Kernel>
  void launch(int64_t blocks, int64_t shared_bytes, const typename Kernel::Params& params) {
    const auto run = [this, blocks, shared_bytes, params] {
      EmulatedMemory memory(shared_bytes, reports_);
      for (int64_t index = blocks; index-- > 0;) {
        EmulatedBlock block(index, memory);
        Kernel::run(block, params);
      }
    };
    if (capturing_)
      captured_.emplace_back(run);
    else
      run();
  }

  /// Launches are kept from here on, to be run by replay().
  void capture() { capturing_ = true; }
  void replay() {
    capturing_ = false;
    for (const auto& run : captured_) run();
    captured_.clear();
  }

  /// Ends a call's work: what a device would have raised, empty if nothing; `sticky`: the process
  /// can't use the device any more.
  std::string error(bool& sticky) {
    sticky = false;
    std::string text = reports_.error.text();
    if (!text.empty()) text = "CUDA error: an illegal memory access was encountered\n" + text;
    return text;
  }
  /// What a checker would say of the work, and forgets all of it.
  std::string notes() {
    std::string text = reports_.notes.text();
    reports_ = {};
    written_.clear();
    return text;
  }

 private:
  Reports reports_;
  std::deque<std::vector<uint8_t>> written_;
  std::vector<std::function<void()>> captured_;
  bool capturing_ = false;
};

}  // namespace attnfuzz::cuda
