#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace attnfuzz::cuda {

/// Device memory between two zones of bytes that damage shows on. What is read of them is NaN or
/// huge. Under a checker (Backend::fills() is false) it has no zones and is not written to at
/// first: the checker knows both better.
template <class Backend>
class Buffer {
 public:
  static constexpr unsigned char mark = 0x7F, unwritten = 0xFF;

  /// `bytes` of it, each `unwritten`: as floats NaN.
  Buffer(Backend& backend, const char* name, int64_t bytes)
      : backend_(&backend), name_(name), bytes_(static_cast<size_t>(bytes)), zone_(backend.zone()) {
    start_ = static_cast<unsigned char*>(backend.allocate(bytes_ + 2 * zone_));
    if (!backend.fills()) return;
    backend.fill(start_, mark, zone_);
    backend.fill(start_ + zone_, unwritten, bytes_);
    backend.fill(start_ + zone_ + bytes_, mark, zone_);
  }
  ~Buffer() {
    if (start_ != nullptr) backend_->release(start_);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(start_ + zone_);
  }
  const char* name() const { return name_; }
  /// `from` must stay as it is, and `to` is written, until the backend's next wait().
  void write(const void* from) { backend_->copy_in(start_ + zone_, from, bytes_); }
  void read(void* to) const { backend_->copy_out(to, start_ + zone_, bytes_); }
  void fill(unsigned char byte) { backend_->fill(start_ + zone_, byte, bytes_); }

  /// Asks for what damage() looks at: the zones as they are at the backend's next wait().
  void read_zones() {
    seen_.resize(2 * zone_);
    backend_->copy_out(seen_.data(), start_, zone_);
    backend_->copy_out(seen_.data() + zone_, start_ + zone_ + bytes_, zone_);
  }
  /// "out was written past its end (device memory)"; empty if nothing was.
  std::string damage() const {
    const auto behind = seen_.begin() + static_cast<std::ptrdiff_t>(seen_.size() / 2);
    const auto whole = [](auto from, auto to) {
      return std::all_of(from, to, [](unsigned char x) { return x == mark; });
    };
    if (!whole(behind, seen_.end()))
      return std::string(name_) + " was written past its end (device memory)";
    if (!whole(seen_.begin(), behind))
      return std::string(name_) + " was written before its start (device memory)";
    return {};
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(name_, other.name_);
    std::swap(bytes_, other.bytes_);
    std::swap(zone_, other.zone_);
    std::swap(start_, other.start_);
    std::swap(seen_, other.seen_);
  }

  Backend* backend_ = nullptr;
  const char* name_ = "";
  size_t bytes_ = 0, zone_ = 0;  ///< zone_: bytes on each side
  unsigned char* start_ = nullptr;
  std::vector<unsigned char> seen_;  ///< of both zones
};

}  // namespace attnfuzz::cuda
