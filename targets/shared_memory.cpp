#include "targets/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace attnfuzz {
namespace {

constexpr size_t first_size = size_t{1} << 20;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

SharedMemory::SharedMemory() : fd_(memfd_create("attnfuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  if (fd_ < 0) fail("memfd_create");
  if (fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
    close(fd_);
    fail("sealing shared memory");
  }
}

SharedMemory::SharedMemory(int fd) : fd_(fd) {}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) munmap(data_, mapped_);
  close(fd_);
}

size_t SharedMemory::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) fail("fstat of shared memory");
  return static_cast<size_t>(status.st_size);
}

std::byte* SharedMemory::reach(size_t size) {
  size = std::max(size, size_t{1});  // nothing can be mapped with no length
  if (size <= mapped_) return data_;
  const size_t wanted = std::max({size, 2 * mapped_, first_size});
  if (this->size() < size && ftruncate(fd_, static_cast<off_t>(wanted)) != 0)
    fail("growing shared memory");
  if (data_ != nullptr) munmap(data_, mapped_);
  data_ = nullptr;
  mapped_ = std::min(this->size(), wanted);
  void* at = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) fail("mapping shared memory");
  data_ = static_cast<std::byte*>(at);
  return data_;
}

}  // namespace attnfuzz
