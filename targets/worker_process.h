#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "targets/printed_text.h"

namespace attnfuzz {

/// How a worker is started.
struct WorkerCommand {
  std::vector<std::string> argv;  ///< argv[0]: a path, or a name to be found on PATH
  std::vector<std::pair<std::string, std::string>> environment;  ///< over attnfuzz's own
};

/// What a worker may take. Memory is the resident sum of its process group, watched every 50 ms (a
/// limit on address space would break packages that reserve more than they use); pages shared by
/// forks count for each.
struct WorkerLimits {
  double case_seconds = 20;
  double hello_seconds = 120;  ///< from the start to the first line: slow imports
  uint64_t memory_bytes = uint64_t{4} << 30;
  uint64_t output_bytes = uint64_t{1} << 30;  ///< tensors of one reply
  std::function<void()> waiting = {};         ///< called while a worker is waited for; may throw
  std::function<void()> greeted = {};  ///< called when a new worker has, before its first case
  double end_seconds = 0;  ///< to end by itself once it can do no more, before it is killed
};

/// A child process that speaks lines over a socket (its fd 3) and shares memory (its fd 4). It
/// leads a process group of its own, which is killed as a whole; it is killed too when attnfuzz
/// dies in any way. What it prints is drained all the time, and only the end of it kept.
class WorkerProcess {
 public:
  /// Throws std::system_error when no process can be made. A program that can't be started shows
  /// as a death at the first receive().
  WorkerProcess(const WorkerCommand& command, int shared_memory);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  enum class End : uint8_t { line, died, timeout, memory, flood };
  struct Answer {
    End end;
    std::string text;  ///< the line; for any other end what happened, and the last lines printed
  };
  /// Sends `request` (may be empty) and waits for one line. After any other end than `line` the
  /// process group is dead.
  /// `waiting` is called meanwhile, every 50 ms; what it throws goes through.
  Answer exchange(std::string_view request, double seconds, uint64_t memory_bytes,
                  const std::function<void()>& waiting = {});

  /// Waits until the process ends by itself, at most so long.
  void wait_for_end(double seconds);

  pid_t pid() const { return pid_; }

 private:
  using Clock = std::chrono::steady_clock;

  void send_some(std::string_view& unsent);
  bool receive_some();  ///< false: the socket is closed
  void drain();         ///< what was printed, without waiting
  bool dead() const;
  std::string kill_and_explain();  ///< also for one that has died by itself
  Answer ended(End end, const std::string& what);
  Answer closed();

  pid_t pid_ = -1;
  int channel_ = -1, printed_ = -1;
  std::string received_;
  PrintedText text_;  ///< of the call at hand
};

}  // namespace attnfuzz
