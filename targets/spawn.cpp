#include "targets/spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "targets/protocol.h"

namespace attnfuzz {
namespace {

/// Forks from one thread that never ends: the kernel sends PR_SET_PDEATHSIG when the thread that
/// forked ends, not only when its process does.
class Forker {
 public:
  /// A new one in a process that was itself forked: threads don't come along.
  static Forker& instance() {
    static std::mutex mutex;
    static Forker* forker = nullptr;  // lives as long as its detached thread
    static pid_t owner = -1;
    const std::lock_guard lock(mutex);
    if (std::exchange(owner, getpid()) != getpid()) forker = new Forker;
    return *forker;
  }

  pid_t run(std::function<pid_t()> job) {
    std::packaged_task<pid_t()> task(std::move(job));
    std::future<pid_t> result = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    ready_.notify_one();
    return result.get();
  }

 private:
  Forker() {
    std::thread([this] { loop(); }).detach();
  }

  [[noreturn]] void loop() {
    for (;;) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return !tasks_.empty(); });
      std::packaged_task<pid_t()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::packaged_task<pid_t()>> tasks_;
};

/// A pair of connected descriptors that are closed unless they are taken.
struct Ends {
  std::array<int, 2> fd{-1, -1};
  Ends() = default;
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    for (const int end : fd)
      if (end >= 0) close(end);
  }
  int take(size_t k) { return std::exchange(fd[k], -1); }
};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// The environment with changes, as "NAME=value".
std::vector<std::string> changed_environment(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool kept = true;
    for (const auto& [key, value] : changes)
      kept = kept && !(text.starts_with(key) && text.substr(key.size()).starts_with('='));
    if (kept) all.emplace_back(text);
  }
  for (const auto& [key, value] : changes) all.push_back(fmt::format("{}={}", key, value));
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

/// In the child, between fork and exec: async-signal-safe calls only.
[[noreturn]] void become(char* const* argv, char* const* envp, pid_t parent, int channel,
                         int printed, int memory) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // attnfuzz has died in between
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD, SIGHUP, SIGQUIT})
    ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // Out of the way first: any of these may be one of the numbers wanted.
  const int null = open("/dev/null", O_RDONLY);
  const std::array<int, 5> from{fcntl(null, F_DUPFD, 10), fcntl(printed, F_DUPFD, 10),
                                fcntl(printed, F_DUPFD, 10), fcntl(channel, F_DUPFD, 10),
                                fcntl(memory, F_DUPFD, 10)};
  for (size_t k = 0; k < from.size(); ++k) dup2(from[k], static_cast<int>(k));
  syscall(SYS_close_range, 5U, ~0U, 0U);
  execvpe(argv[0], argv, envp);
  _exit(127);
}

void set_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

}  // namespace

Spawned spawn(const std::vector<std::string>& argv,
              const std::vector<std::pair<std::string, std::string>>& environment,
              int shared_memory) {
  static_assert(worker_channel == 3 && worker_memory == 4, "the order of `from` in become()");
  Ends channel, printed;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel.fd.data()) != 0)
    fail("socketpair");
  if (pipe2(printed.fd.data(), O_CLOEXEC) != 0) fail("pipe");
  std::vector<std::string> arguments = argv, variables = changed_environment(environment);
  const std::vector<char*> arg_pointers = pointers(arguments), env_pointers = pointers(variables);
  const pid_t parent = getpid();
  const pid_t pid = Forker::instance().run([&] {
    const pid_t child = fork();
    if (child == 0)
      become(arg_pointers.data(), env_pointers.data(), parent, channel.fd[1], printed.fd[1],
             shared_memory);
    return child;
  });
  if (pid < 0) fail("fork");
  setpgid(pid, pid);  // whichever of the two comes first
  const Spawned spawned{pid, channel.take(0), printed.take(0)};
  set_nonblocking(spawned.channel);
  set_nonblocking(spawned.printed);
  return spawned;
}

uint64_t group_memory(pid_t group) {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t pages = 0;
  DIR* processes = opendir("/proc");
  if (processes == nullptr) return 0;
  while (const dirent* entry = readdir(processes)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const int fd = open(fmt::format("/proc/{}/stat", entry->d_name).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    std::array<char, 1024> text;
    const ssize_t length = read(fd, text.data(), text.size() - 1);
    close(fd);
    if (length <= 0) continue;
    text[static_cast<size_t>(length)] = '\0';
    // proc(5): fields 3 (state), 5 (process group) and 24 (resident pages); 2 may hold anything.
    const char* rest = std::strrchr(text.data(), ')');
    if (rest == nullptr) continue;
    long long process_group = 0, resident = 0;
    if (std::sscanf(rest + 1,
                    " %*c %*d %lld %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                    "%*d %*d %*d %*u %*u %lld",
                    &process_group, &resident) == 2 &&
        process_group == group)
      pages += static_cast<uint64_t>(resident);
  }
  closedir(processes);
  return pages * page;
}

std::string describe_end(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with code {}", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* abbreviation = sigabbrev_np(signal);
  return fmt::format("killed by SIG{} ({})", abbreviation != nullptr ? abbreviation : "?",
                     strsignal(signal));
}

}  // namespace attnfuzz
