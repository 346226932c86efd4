#include "fuzz/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>
#include <vector>

namespace attnfuzz {
namespace {

/// All of it, or the process ends: without a reader there is nothing left to do.
void write_all(int to, const void* from, size_t size) {
  const auto* bytes = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t written = write(to, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) _exit(1);
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

void send(int to, std::string_view message) {
  const uint64_t size = message.size();
  write_all(to, &size, sizeof size);
  write_all(to, message.data(), message.size());
}

/// Does the work in the child; its exit code. Nothing may leave it: what is thrown would go on in
/// the parent's code, in a second process.
int end_of(const std::function<void(const Child::Send&)>& work, int to) noexcept {
  constexpr int threw = 3;
  try {
    work([to](std::string_view message) { send(to, message); });
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "attnfuzz: a process of a campaign ends: {}\n", error.what());
  } catch (...) {
    fmt::print(stderr, "attnfuzz: a process of a campaign ends: an exception of no known type\n");
  }
  return threw;
}

}  // namespace

Child::Child(const std::function<void(const Send&)>& work) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "can't make a pipe");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    throw std::system_error(error, std::generic_category(), "can't make a process");
  }
  if (pid_ == 0) {
    close(ends[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    std::signal(SIGINT, SIG_IGN);
    _exit(end_of(work, ends[1]));
  }
  close(ends[1]);
  pipe_ = ends[0];
  fcntl(pipe_, F_SETFL, O_NONBLOCK);
}

Child::~Child() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  close(pipe_);
}

void Child::receive() {
  char buffer[1 << 16];
  for (;;) {
    const ssize_t size = read(pipe_, buffer, sizeof buffer);
    if (size > 0) {
      received_.append(buffer, static_cast<size_t>(size));
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    ended_ = ended_ || size == 0 || errno != EAGAIN;
    return;
  }
}

std::optional<std::string> Child::next() {
  uint64_t size = 0;
  if (received_.size() < sizeof size) return {};
  std::memcpy(&size, received_.data(), sizeof size);
  if (received_.size() - sizeof size < size) return {};
  std::string message = received_.substr(sizeof size, size);
  received_.erase(0, sizeof size + size);
  return message;
}

int Child::wait() {
  int status = 0;
  while (pid_ > 0 && waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void Child::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

void Child::await(std::span<Child* const> children, int milliseconds) {
  std::vector<pollfd> polled;
  for (const Child* child : children)
    if (!child->ended_) polled.push_back({child->pipe_, POLLIN, 0});
  poll(polled.data(), polled.size(), milliseconds);
}

}  // namespace attnfuzz
