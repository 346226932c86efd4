#include "targets/serve.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <new>

#include "targets/fault_report.h"
#include "targets/fork_watch.h"

namespace attnfuzz {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// The next line without its end, or false at the end of the stream.
bool read_line(int fd, std::string& buffer, std::string& line) {
  std::array<char, 65536> block;
  for (;;) {
    if (const size_t end = buffer.find('\n'); end != std::string::npos) {
      line.assign(buffer, 0, end);
      buffer.erase(0, end + 1);
      return true;
    }
    const ssize_t n = read(fd, block.data(), block.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    if (n > 0) buffer.append(block.data(), static_cast<size_t>(n));
  }
}

Outcome run_caught(Target& target, const Request& request) {
  try {
    return target.run(request.c, request.inputs);
  } catch (const std::bad_alloc&) {
    return {Status::memory, "std::bad_alloc", {}};
  } catch (const std::exception& e) {
    return {Status::error, e.what(), {}};
  }
}

Outcome run_watched(Target& target, const Request& request) {
  const ForkWatch watch;
  const auto start = std::chrono::steady_clock::now();
  Outcome outcome = run_caught(target, request);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (std::string complaint = watch.complaint(); !complaint.empty())
    return {Status::error, std::move(complaint), {}};
  return outcome;
}

}  // namespace

void serve_missing(const std::string& why, int channel) {
  write_all(channel, write_missing(why));
}

int serve_worker(Target& target, int channel, int memory_fd) {
  report_faults();
  for (const int fd : {channel, memory_fd}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  SharedMemory memory(memory_fd);
  std::string buffer, line;
  if (!write_all(channel, write_hello(target.info()))) return 0;
  while (read_line(channel, buffer, line)) {
    std::string reply;
    bool last = false;
    try {
      const Request request = parse_request(line, memory);
      if (request.threads > 0) target.use_threads(request.threads);
      const Outcome outcome = run_watched(target, request);
      last = outcome.final;
      reply = write_reply(request, outcome, memory);
    } catch (const ProtocolError& e) {
      fmt::print(stderr, "attnfuzz worker: {}\n", e.what());
      return 3;
    }
    if (!write_all(channel, reply) || last) return 0;
  }
  return 0;
}

}  // namespace attnfuzz
