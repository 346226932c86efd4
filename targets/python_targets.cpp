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

/// attnfuzz_guard.so (targets/python/guard.cpp); empty where it was not built.
std::string guard_library() {
  namespace fs = std::filesystem;
  std::error_code missing;
  const fs::path program = fs::read_symlink("/proc/self/exe", missing).parent_path();
  for (const fs::path& folder : {program / "plugins", program.parent_path() / "plugins",
                                 program.parent_path() / "lib" / "attnfuzz"})
    if (fs::exists(folder / "attnfuzz_guard.so", missing)) return folder / "attnfuzz_guard.so";
  return {};
}

WorkerCommand worker_command(const std::string& python, const std::string& argument) {
  return {{python, attnfuzz_home() + "/targets/python/worker.py", argument},
          {{"PYTHONDONTWRITEBYTECODE", "1"},
           {"ATTNFUZZ_PACKAGE", python_package_folder()},
           {"ATTNFUZZ_GUARD", guard_library()}}};
}

/// The interpreter of a pinned environment (targets/python/env.py), the default one without a name.
std::string interpreter_for(const std::string& target) {
  const size_t at = target.find('@');
  if (at == std::string::npos) return python_interpreter();
  const std::string environment = target.substr(at + 1);
  std::string envs = variable("ATTNFUZZ_ENVS");
  if (envs.empty()) envs = attnfuzz_home() + "/envs";
  const std::string dir = envs + "/" + environment;
  std::error_code ignored;
  if (environment.empty() || !std::filesystem::exists(dir + "/stamp", ignored))
    throw InputError(
        target, "",
        fmt::format("environment not installed: {0} (attnfuzz env create {0})", environment));
  return dir + "/bin/python";
}

}  // namespace

std::string attnfuzz_home() {
  namespace fs = std::filesystem;
  if (std::string home = variable("ATTNFUZZ_HOME"); !home.empty()) return home;
  std::error_code missing;
  const fs::path program = fs::read_symlink("/proc/self/exe", missing);
  const fs::path installed = program.parent_path().parent_path() / "share" / "attnfuzz";
  return fs::exists(installed / "targets" / "python", missing) ? installed.string()
                                                               : build::source_dir();
}

std::string python_package_folder() {
  namespace fs = std::filesystem;
  std::error_code missing;
  const fs::path folder = fs::read_symlink("/proc/self/exe", missing).parent_path() / "python";
  return fs::exists(folder / "attnfuzz", missing) ? folder.string() : "";
}

std::string python_interpreter() {
  if (std::string python = variable("ATTNFUZZ_PYTHON"); !python.empty()) return python;
  std::string venv = attnfuzz_home() + "/.venv/bin/python";
  std::error_code ignored;
  return std::filesystem::exists(venv, ignored) ? venv : "python3";
}

std::unique_ptr<Target> open_python_target(const std::string& name, const WorkerLimits& limits) {
  return open_remote(name, worker_command(interpreter_for(name), name), limits);
}

std::vector<PythonTarget> list_python_targets() {
  const SharedMemory unused;
  const WorkerLimits limits;
  WorkerProcess process(worker_command(python_interpreter(), "--list"), unused.fd());
  const WorkerProcess::Answer answer =
      process.exchange({}, limits.hello_seconds, limits.memory_bytes);
  std::vector<PythonTarget> found;
  if (answer.end != WorkerProcess::End::line) {
    PythonTarget none;
    none.info.name = "python";
    none.missing =
        fmt::format("{} does not list the adapters: {}", python_interpreter(), answer.text);
    return {std::move(none)};
  }
  for (Description& target : parse_survey(answer.text, "targets/python/adapters"))
    found.push_back({std::move(target.info), std::move(target.missing)});
  return found;
}

}  // namespace attnfuzz
