#include "tools/attnfuzz/target_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "targets/cuda/device.h"
#include "targets/cuda/emulated.h"
#include "targets/hostile/hostile.h"
#include "targets/no_device.h"
#include "targets/plugin.h"
#include "targets/remote.h"
#include "targets/sanitizer.h"
#include "targets/wrapped_target.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {
namespace {

constexpr uint64_t kLeastMemory = uint64_t{16} << 20;

bool is_builtin(std::string_view name) {
  const auto all = builtin_targets();
  return std::any_of(all.begin(), all.end(),
                     [&](const BuiltinTarget& t) { return t.name == name; });
}

/// A target that is asked for less than it claims.
class Limited : public WrappedTarget {
 public:
  Limited(std::unique_ptr<Target> target, TargetInfo info)
      : WrappedTarget(std::move(target)), info_(std::move(info)) {}
  const TargetInfo& info() const override { return info_; }

 private:
  TargetInfo info_;
};

/// A plug-in in attnfuzz's own process, which ends with it.
class UntilFatal : public WrappedTarget {
 public:
  using WrappedTarget::WrappedTarget;
  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = WrappedTarget::run(c, inputs);
    if (outcome.final)
      throw InputError(info().name, "",
                       fmt::format("this process can do no more after \"{}\": expected a run "
                                   "without --in-process, where that is a finding",
                                   outcome.text));
    return outcome;
  }
};

/// "kv_len=64"; throws InputError for an axis that is none, or a maximum that leaves nothing.
void apply_limit(Capabilities& capabilities, const std::string& limit) {
  const size_t equals = limit.find('=');
  const std::string axis = limit.substr(0, equals);
  const auto names = size_names();
  if (equals == std::string::npos || std::find(names.begin(), names.end(), axis) == names.end())
    throw InputError(
        "--limit " + limit, "",
        "expected AXIS=MAX, where AXIS is one of " + fmt::format("{}", fmt::join(names, ", ")));
  int64_t max = -1;
  const char* end = limit.data() + limit.size();
  const char* begin = limit.data() + equals + 1;
  const auto [rest, error] = std::from_chars(begin, end, max);
  const auto range = capabilities.sizes.find(axis);
  const int64_t least = range == capabilities.sizes.end() ? 0 : range->second.min;
  if (error != std::errc{} || rest != end || max < least)
    throw InputError("--limit " + limit, "",
                     fmt::format("expected a maximum of at least {}", least));
  if (range != capabilities.sizes.end()) range->second.max = std::min(range->second.max, max);
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
  app.add_option("--sanitize", sanitize,
                 "Run plug-ins and CUDA targets under this tool of compute-sanitizer; what it "
                 "reports is an error of the case")
      ->check(CLI::IsMember(sanitizer_tools()));
  app.add_option("--limit", limits, "Keep a size at or under a maximum: AXIS=MAX, repeatable");
  app.add_option("--memory", memory, "Memory that a worker may take, such as 4G")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
}

std::unique_ptr<Target> TargetOptions::open(const std::string& name) const {
  std::unique_ptr<Target> target = open_unlimited(name);
  if (limits.empty()) return target;
  TargetInfo info = target->info();
  for (const std::string& limit : limits) apply_limit(info.capabilities, limit);
  return std::make_unique<Limited>(std::move(target), std::move(info));
}

std::unique_ptr<Target> TargetOptions::open_unlimited(const std::string& name) const {
  WorkerLimits worker;
  worker.case_seconds = parse_duration(timeout, "--timeout");
  if (memory < kLeastMemory)  // a process alone takes more
    throw InputError("--memory", "", fmt::format("expected at least 16M, found {} bytes", memory));
  worker.memory_bytes = memory;
  worker.waiting = give_up_if_asked;
  if (is_hostile_name(name)) return open_isolated(name, worker);
  if (cuda::is_cuda_name(name))
    if (const std::string& why = cuda::why_no_device(); !why.empty()) throw NoDevice(name, why);
  const bool plugin = is_plugin_name(name) || cuda::is_cuda_name(name);
  if (!sanitize.empty()) return open_checked(name, plugin, worker);
  if (in_process && cuda::is_cuda_name(name))  // forks of a process that has used CUDA can't
    throw InputError("--in-process", "", "expected a target without a GPU, found " + name);
  if (plugin ? !in_process : isolate && is_builtin(name)) return open_isolated(name, worker);
  if (is_python_name(name)) return open_python_target(name, worker);
  if (plugin) return std::make_unique<UntilFatal>(open_target(name));
  return open_target(name);
}

std::unique_ptr<Target> TargetOptions::open_checked(const std::string& name, bool plugin,
                                                    const WorkerLimits& worker) const {
  if (plugin) return open_sanitized(name, sanitize, worker);
  if (cuda::is_emulated_name(name)) return with_strict_checker(open_target(name), sanitize);
  throw InputError("--sanitize " + sanitize, "",
                   "expected a plug-in, cuda: or cuda-emu: target, found " + name);
}

std::unique_ptr<Target> TargetOptions::open_for(const std::string& name, const Case& c,
                                                const std::string& file) const {
  std::unique_ptr<Target> target = open(name);
  const std::string outside = target->info().capabilities.rejection_reason(c);
  if (!outside.empty())
    throw InputError(file, "", "expected a case that " + name + " claims: " + outside);
  return target;
}

}  // namespace attnfuzz::cli
