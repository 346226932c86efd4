#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace attnfuzz {

/// A started child: the parent's ends of its socket (the child's fd 3) and of the pipe that its
/// stdout and stderr go to, both non-blocking.
struct Spawned {
  pid_t pid;
  int channel, printed;
};

/// Starts a program as the leader of its own process group, with `shared_memory` as fd 4, stdin
/// empty, and nothing else inherited. The kernel kills it when attnfuzz dies. A program that can't
/// be run exits with 127. Throws std::system_error where no process can be made.
Spawned spawn(const std::vector<std::string>& argv,
              const std::vector<std::pair<std::string, std::string>>& environment,
              int shared_memory);

/// The resident memory of a process group, in bytes.
uint64_t group_memory(pid_t group);

/// "killed by SIGSEGV (Segmentation fault)" or "exited with code 3", from waitpid's status.
std::string describe_end(int status);

}  // namespace attnfuzz
