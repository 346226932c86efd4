#pragma once
#include <cstddef>
#include <cstdint>

namespace attnfuzz {

/// Anonymous memory that two processes map by file descriptor. Either side may make it longer, none
/// shorter (sealed), so that no access to what is mapped can fault.
class SharedMemory {
 public:
  SharedMemory();                 ///< new and empty; throws std::system_error
  explicit SharedMemory(int fd);  ///< the other side's; takes over the descriptor
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  int fd() const { return fd_; }
  size_t size() const;  ///< of the memory itself, which the other side may have made longer
  /// The start, with at least `size` bytes mapped; makes the memory longer where it has to.
  /// Pointers got before are no longer valid.
  std::byte* reach(size_t size);

 private:
  int fd_;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace attnfuzz
