#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <string>

/// For the tests of emitted programs.
namespace attnfuzz {

/// A shell command's exit code (-1: it was killed) and all that it printed.
struct Ran {
  int exit = -1;
  std::string output;
};

inline Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, n);
  const int status = pclose(pipe);
  ran.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace attnfuzz
