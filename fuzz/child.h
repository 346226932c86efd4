#pragma once
#include <sys/types.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace attnfuzz {

/// A fork of this process that sends messages through a pipe. The parent must have no threads.
class Child {
 public:
  using Send = std::function<void(std::string_view)>;

  /// The child runs `work` and exits with 0 (3 where it throws: its text is on stderr); it ignores
  /// Ctrl-C (the parent tells it when to stop) and dies with the parent. Throws std::system_error
  /// where no process can be made.
  explicit Child(const std::function<void(const Send&)>& work);
  ~Child();  ///< kills it
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Reads what is there. After the end of the pipe ended() is true.
  void receive();
  bool ended() const { return ended_; }
  /// The next message that has come whole.
  std::optional<std::string> next();
  /// Waits for the process to end: waitpid's status.
  int wait();
  void kill();

  /// Waits until one of them has something to receive() or has ended; at most so long.
  static void await(std::span<Child* const> children, int milliseconds);

 private:
  pid_t pid_ = -1;
  int pipe_ = -1;
  bool ended_ = false;
  std::string received_;
};

}  // namespace attnfuzz
