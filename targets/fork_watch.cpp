#include "targets/fork_watch.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace attnfuzz {
namespace {

using namespace std::chrono_literals;

constexpr int came_back = 86;        ///< a child's exit code
constexpr auto time_to_end = 200ms;  ///< for a child that was made for a while only

std::atomic<int> forks{0};
bool in_child = false;

}  // namespace

ForkWatch::ForkWatch() {
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork(
        nullptr, [] { ++forks; }, [] { in_child = true; });
  });
  forks = 0;
}

std::string ForkWatch::complaint() const {
  if (in_child) _exit(came_back);
  if (forks == 0) return {};
  const auto until = std::chrono::steady_clock::now() + time_to_end;
  do {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended < 0) return {};  // none is left
    if (ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == came_back)
      return "forked, and the child came back from the call too";
    if (ended == 0) std::this_thread::sleep_for(1ms);
  } while (std::chrono::steady_clock::now() < until);
  return "forked, and left a process running";
}

}  // namespace attnfuzz
