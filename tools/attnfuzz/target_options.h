#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "targets/target.h"
#include "targets/worker_process.h"

namespace attnfuzz::cli {

/// How targets are opened: the flags that run, replay and shrink share.
struct TargetOptions {
  bool isolate = false, in_process = false;
  std::string timeout = "20s";
  uint64_t memory = uint64_t{4} << 30;
  std::string sanitize;             ///< a tool of compute-sanitizer; empty: none
  std::vector<std::string> limits;  ///< "kv_len=64": no case may have more than that

  void add(CLI::App& app);
  /// Built-in targets in process, plug-ins in a worker process (unless --in-process), Python ones
  /// always in a worker. Throws InputError for a name that is no target, NoDevice where a device
  /// lacks.
  std::unique_ptr<Target> open(const std::string& name) const;
  /// The same, for one case of a file: throws InputError, too, if the target does not claim it.
  std::unique_ptr<Target> open_for(const std::string& name, const Case& c,
                                   const std::string& file) const;

 private:
  std::unique_ptr<Target> open_unlimited(const std::string& name) const;
  /// With --sanitize.
  std::unique_ptr<Target> open_checked(const std::string& name, bool plugin,
                                       const WorkerLimits& worker) const;
};

}  // namespace attnfuzz::cli
