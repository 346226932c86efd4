#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "oracle/build.h"
#include "targets/protocol.h"
#include "targets/remote.h"

namespace attnfuzz {
namespace {

/// Empty where the variable is not set.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

WorkerCommand worker_command(const std::string& argument) {
  return {{python_interpreter(), attnfuzz_home() + "/targets/python/worker.py", argument},
          {{"PYTHONDONTWRITEBYTECODE", "1"}}};
}

}  // namespace

std::string attnfuzz_home() {
  const std::string home = variable("ATTNFUZZ_HOME");
  return home.empty() ? build::source_dir() : home;
}

std::string python_interpreter() {
  if (std::string python = variable("ATTNFUZZ_PYTHON"); !python.empty()) return python;
  std::string venv = attnfuzz_home() + "/.venv/bin/python";
  std::error_code ignored;
  return std::filesystem::exists(venv, ignored) ? venv : "python3";
}

std::unique_ptr<Target> open_python_target(const std::string& name, const WorkerLimits& limits) {
  return open_remote(name, worker_command(name), limits);
}

std::vector<PythonTarget> list_python_targets() {
  const SharedMemory unused;
  const WorkerLimits limits;
  WorkerProcess process(worker_command("--list"), unused.fd());
  const WorkerProcess::Answer answer =
      process.exchange({}, limits.hello_seconds, limits.memory_bytes);
  std::vector<PythonTarget> found;
  if (answer.end != WorkerProcess::End::line) return found;
  for (Description& target : parse_survey(answer.text, "targets/python/adapters"))
    found.push_back({std::move(target.info), std::move(target.missing)});
  return found;
}

}  // namespace attnfuzz
