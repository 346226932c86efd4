#include "tools/attnfuzz/target_options.h"

#include <algorithm>

#include "targets/plugin.h"
#include "targets/remote.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

bool is_builtin(std::string_view name) {
  const auto all = builtin_targets();
  return std::any_of(all.begin(), all.end(),
                     [&](const BuiltinTarget& t) { return t.name == name; });
}

}  // namespace

void TargetOptions::add(CLI::App& app) {
  const auto* isolated =
      app.add_flag("--isolate", isolate, "Run built-in targets in a worker process too");
  app.add_flag("--in-process", in_process,
               "Run plug-ins inside attnfuzz: faster, but a crash ends the run")
      ->excludes(const_cast<CLI::Option*>(isolated));
  app.add_option("--timeout", timeout, "Time that one case may take in a worker")
      ->capture_default_str();
  app.add_option("--memory", memory, "Memory that a worker may take, such as 4G")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
}

std::unique_ptr<Target> TargetOptions::open(const std::string& name) const {
  WorkerLimits limits;
  limits.case_seconds = parse_duration(timeout, "--timeout");
  limits.memory_bytes = memory;
  if (is_plugin_name(name) ? !in_process : isolate && is_builtin(name))
    return open_isolated(name, limits);
  if (is_python_name(name)) return open_python_target(name, limits);
  return open_target(name);
}

}  // namespace attnfuzz::cli
