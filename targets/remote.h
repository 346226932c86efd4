#pragma once
#include <memory>
#include <string>

#include "targets/target.h"

namespace attnfuzz {

/// A Python target "package:name", run by a worker process. Throws InputError for a package or name
/// that the worker does not know.
std::unique_ptr<Target> open_python_target(const std::string& name);

}  // namespace attnfuzz
