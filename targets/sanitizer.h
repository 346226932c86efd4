#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "targets/target.h"
#include "targets/worker_process.h"

namespace attnfuzz {

/// The tools of NVIDIA's compute-sanitizer that a worker can run under: memcheck, racecheck …
std::vector<std::string> sanitizer_tools();

/// What compute-sanitizer says in its log, a line for each thing found, each once: the first line
/// of the report, where it was, and what it says of the address. Addresses and numbers of threads
/// are left out, for they are others each time.
std::vector<std::string> sanitizer_reports(std::string_view log);

/// A target of a plug-in or a GPU, in a worker under compute-sanitizer: what the tool reports while
/// a case runs is an error of that case. Throws InputError where it is not installed, or says
/// something before the first case (that it does not support the device, say).
std::unique_ptr<Target> open_sanitized(const std::string& name, const std::string& tool,
                                       WorkerLimits limits);

/// A target with a checker of its own (cuda-emu:): what that notices, as far as the tool looks for
/// it, is an error.
std::unique_ptr<Target> with_strict_checker(std::unique_ptr<Target> target,
                                            const std::string& tool);

}  // namespace attnfuzz
