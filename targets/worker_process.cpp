#include "targets/worker_process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include "targets/spawn.h"

namespace attnfuzz {
namespace {

using namespace std::chrono_literals;

constexpr auto watch_every = 50ms;
constexpr double time_to_die = 2;  ///< seconds between closing the socket and being gone
constexpr size_t longest_line = size_t{16} << 20;
constexpr int reads_to_drain = 64;  ///< of 64 KiB each; someone else may still be printing

}  // namespace

WorkerProcess::WorkerProcess(const WorkerCommand& command, int shared_memory) {
  const Spawned spawned = spawn(command.argv, command.environment, shared_memory);
  pid_ = spawned.pid;
  channel_ = spawned.channel;
  printed_ = spawned.printed;
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0) kill_and_explain();
  close(channel_);
  close(printed_);
}

bool WorkerProcess::dead() const {
  siginfo_t about{};
  return waitid(P_PID, static_cast<id_t>(pid_), &about, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         about.si_pid == pid_;
}

std::string WorkerProcess::kill_and_explain() {
  // While the leader is not yet reaped, its number can't be anyone else's group.
  kill(-pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  drain();
  return describe_end(status);
}

void WorkerProcess::drain() {
  std::array<char, 65536> buffer;
  for (int k = 0; k < reads_to_drain; ++k) {
    const ssize_t n = read(printed_, buffer.data(), buffer.size());
    if (n <= 0) return;
    text_.append({buffer.data(), static_cast<size_t>(n)});
  }
}

void WorkerProcess::send_some(std::string_view& unsent) {
  const ssize_t n = send(channel_, unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) unsent.remove_prefix(static_cast<size_t>(n));
  if (n < 0 && errno != EAGAIN && errno != EINTR) unsent = {};  // closed: receiving tells
}

bool WorkerProcess::receive_some() {
  std::array<char, 65536> buffer;
  const ssize_t n = recv(channel_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n > 0) received_.append(buffer.data(), static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

WorkerProcess::Answer WorkerProcess::ended(End end, const std::string& what) {
  if (pid_ > 0) kill_and_explain();
  const std::string lines = text_.lines();
  return {end, lines.empty() ? what : what + "\n" + lines};
}

void WorkerProcess::wait_for_end(double seconds) {
  const auto give_up = Clock::now() + std::chrono::duration<double>(seconds);
  while (!dead() && Clock::now() < give_up) {
    drain();
    std::this_thread::sleep_for(1ms);
  }
}

WorkerProcess::Answer WorkerProcess::closed() {
  wait_for_end(time_to_die);
  if (!dead()) return ended(End::died, "closed its socket");
  return ended(End::died, kill_and_explain());
}

WorkerProcess::Answer WorkerProcess::exchange(std::string_view request, double seconds,
                                              uint64_t memory_bytes,
                                              const std::function<void()>& waiting) {
  if (pid_ <= 0) return {End::died, "not running"};
  text_.clear();
  received_.clear();
  const auto start = Clock::now();
  const auto deadline = start + std::chrono::duration<double>(seconds);
  auto next_watch = start + watch_every;
  std::string_view unsent = request;
  for (;;) {
    if (!unsent.empty()) send_some(unsent);
    std::array<pollfd, 2> wait{{{channel_, POLLIN, 0}, {printed_, POLLIN, 0}}};
    if (!unsent.empty()) wait[0].events |= POLLOUT;
    poll(wait.data(), wait.size(), static_cast<int>(watch_every / 1ms));
    if ((wait[1].revents & (POLLIN | POLLHUP)) != 0) drain();
    if ((wait[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const size_t seen = received_.size();
      const bool open = receive_some();
      if (const size_t line = received_.find('\n', seen); line != std::string::npos)
        return {End::line, received_.substr(0, line)};
      if (received_.size() > longest_line)
        return ended(End::flood, fmt::format("a reply of more than {} bytes", longest_line));
      if (!open) return closed();
    }
    const auto now = Clock::now();
    if (now > deadline) return ended(End::timeout, fmt::format("no reply in {} s", seconds));
    if (now < next_watch) continue;
    next_watch = now + watch_every;
    if (waiting) waiting();
    if (dead()) return closed();
    if (const uint64_t used = group_memory(pid_); used > memory_bytes)
      return ended(End::memory, fmt::format("more than {} MiB in use", memory_bytes >> 20));
  }
}

}  // namespace attnfuzz
