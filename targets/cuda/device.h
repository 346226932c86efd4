#pragma once
#include <memory>
#include <string>
#include <vector>

#include "targets/target.h"

/// The CUDA targets on this machine's GPU: "cuda:flash" …, from the plug-in that nvcc makes of
/// plugin.cu. They are a plug-in's, so they run in a worker process.
namespace attnfuzz::cuda {

bool is_cuda_name(std::string_view name);

/// Why they can't be run here ("no GPU here: …"); empty if they can. Asked once, in a process of
/// its own: a parent that has used CUDA can't fork workers that do.
const std::string& why_no_device();

/// What they claim, whether or not they can be run here.
std::vector<TargetInfo> device_targets();

/// "cuda:NAME", in a process that is to run it: the device is made ready here, so that the first
/// case does not wait for it. Throws InputError where it can't be run here, or is none.
std::unique_ptr<Target> open_device_target(const std::string& name);

}  // namespace attnfuzz::cuda
