#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "targets/cuda/gather.h"

namespace attnfuzz::cuda {

/// Memory of a device and a stream of work on it, by the functions of Api: CudaApi, or a test's.
/// The first error is kept until error() tells it; what comes after it does nothing.
template <class Api>
class DeviceQueue {
 public:
  using Error = typename Api::Error;

  /// `sanitized`: a checker watches the process. It then sees each buffer as an allocation of its
  /// own, whose bytes are unwritten at first.
  explicit DeviceQueue(bool sanitized) : sanitized_(sanitized) {
    check(Api::create(&stream_));
    usable_ = good();
    if (usable_) Api::keep_freed_memory();  // for speed alone
  }

  /// Bytes on each side of a buffer. Allocations stay aligned.
  size_t zone() const { return sanitized_ ? 0 : 256; }
  bool fills() const { return !sanitized_; }

  void* allocate(size_t bytes) {
    void* memory = nullptr;
    bytes = std::max<size_t>(bytes, 1);
    if (good())
      check(sanitized_ ? Api::allocate(&memory, bytes)
                       : Api::allocate_async(&memory, bytes, stream_));
    return memory;
  }
  void release(void* memory) {
    if (memory != nullptr) check(sanitized_ ? Api::free(memory) : Api::free_async(memory, stream_));
  }
  void fill(void* memory, unsigned char byte, size_t bytes) {
    if (good() && bytes > 0) check(Api::fill(memory, byte, bytes, stream_));
  }
  void copy(void* to, const void* from, size_t bytes) {
    if (good() && bytes > 0) check(Api::copy(to, from, bytes, stream_));
  }
  /// `host` must stay as it is until the next wait().
  void copy_in(void* device, const void* host, size_t bytes) {
    if (good() && bytes > 0) check(Api::copy_in(device, host, bytes, stream_));
  }
  /// `host` is written by the next wait().
  void copy_out(void* host, const void* device, size_t bytes) {
    if (good() && bytes > 0) wanted_.push_back({host, device, bytes});
  }

  /// Waits for all that was asked for, also where some of it failed. What is copied to the host
  /// lies in many places of the device; it goes together into pinned memory, which the device
  /// writes to, so that one launch and one wait bring all of it.
  void wait() {
    if (!usable_) return;
    const std::vector<Copy> copies = std::exchange(wanted_, {});
    size_t total = 0;
    for (const Copy& copy : copies) total += rounded(copy.bytes);
    reserve(total);
    if (good()) bring(copies);
    const Error error = Api::wait(stream_);
    if (error != Api::success && (good() || refuses())) error_ = error;
    if (!good()) return;
    const unsigned char* from = staging_;
    for (const Copy& copy : copies) {
      std::memcpy(copy.host, from, copy.bytes);
      from += rounded(copy.bytes);
    }
  }

  /// The first error of what was waited for, and of the calls since; empty if there was none. It is
  /// forgotten. `sticky`: the process can't use the device any more. An error that is none of that
  /// kind is gone once it was asked for.
  std::string error(bool& sticky) {
    sticky = false;
    refusal_.clear();
    const Error error = std::exchange(error_, Api::success);
    if (error == Api::success) return {};
    Api::forget_error();
    sticky = !usable_ || Api::wait(stream_) != Api::success;
    return std::string("CUDA error: ") + Api::text(error);
  }

  /// Why the device can't take what was asked for, though nothing is wrong with it; forgets that,
  /// but not what went wrong besides.
  std::string refusal() {
    if (!usable_) return {};
    std::string why = std::exchange(refusal_, {});
    if (error_ != Api::out_of_memory) return why;
    error_ = Api::success;
    Api::forget_error();
    return "the device has no memory left for this case";
  }

  typename Api::Stream stream() const { return stream_; }

 protected:
  bool good() const { return error_ == Api::success && refusal_.empty(); }
  bool refuses() const { return error_ == Api::out_of_memory || !refusal_.empty(); }
  void check(Error error) {
    if (good()) error_ = error;
  }
  void refuse(std::string why) {
    if (good()) refusal_ = std::move(why);
  }

 private:
  struct Copy {
    void* host;
    const void* device;
    size_t bytes;
  };
  /// Asks for the copies, one behind the other, in staging_. A checker sees each copy by itself:
  /// a kernel of ours that reads what no kernel under test wrote would be a report of its own.
  void bring(const std::vector<Copy>& copies) {
    unsigned char* to = staging_;
    Pieces pieces;
    for (const Copy& copy : copies) {
      if (sanitized_) {
        check(Api::copy_out(to, copy.device, copy.bytes, stream_));
      } else {
        if (pieces.count == Pieces::most) gather(pieces);
        pieces.piece[pieces.count++] = {static_cast<const unsigned char*>(copy.device), to,
                                        copy.bytes};
      }
      to += rounded(copy.bytes);
    }
    if (pieces.count > 0) gather(pieces);
  }
  void gather(Pieces& pieces) {
    if (good()) check(Api::gather(pieces, stream_));
    pieces.count = 0;
  }

  static size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }

  void reserve(size_t bytes) {
    if (bytes <= staged_ || !good()) return;
    if (staging_ != nullptr) Api::free_host(staging_);
    staging_ = nullptr;
    staged_ = 0;
    void* memory = nullptr;
    check(Api::allocate_host(&memory, 2 * bytes));
    if (!good()) return;
    staging_ = static_cast<unsigned char*>(memory);
    staged_ = 2 * bytes;
  }

  bool sanitized_, usable_ = false;
  typename Api::Stream stream_{};
  Error error_ = Api::success;
  std::string refusal_;
  std::vector<Copy> wanted_;
  unsigned char* staging_ = nullptr;  ///< lives as long as the process
  size_t staged_ = 0;
};

}  // namespace attnfuzz::cuda
