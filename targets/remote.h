#pragma once
#include <memory>
#include <string>
#include <vector>

#include "targets/target.h"
#include "targets/worker_process.h"

namespace attnfuzz {

/// A target in a worker process: a case that kills, hangs or bloats it becomes an Outcome (crash,
/// timeout, memory) and costs one respawn. Throws InputError when the worker says that it has no
/// such target, or its first line is no greeting.
std::unique_ptr<Target> open_remote(const std::string& name, const WorkerCommand& command,
                                    const WorkerLimits& limits = {});

/// Any target that open_target() knows, run by `attnfuzz worker NAME` (see serve.h) instead of in
/// process; `program` is the attnfuzz executable, by default the running one.
std::unique_ptr<Target> open_isolated(const std::string& name, const WorkerLimits& limits = {},
                                      const std::string& program = "/proc/self/exe");

/// Versions that the worker of an open target has told beside the target's own ("Python 3.11.7,
/// NumPy 2.4.6"); empty where it told none.
std::string worker_environment(const std::string& target);

/// Whether a target's runs are in a worker, which has limits of its own, whatever is wrapped around
/// it.
bool runs_in_worker(const Target& target);

/// "package:name", served by targets/python/worker.py; "package:name@environment" by the
/// interpreter of one of the pinned environments (`attnfuzz env list`). Throws InputError where it
/// is not there.
std::unique_ptr<Target> open_python_target(const std::string& name,
                                           const WorkerLimits& limits = {});

/// What the adapters in targets/python/adapters offer. `missing` says why one can't be run here
/// ("not installed: onnxruntime"), empty if it can; info then has its capabilities.
struct PythonTarget {
  TargetInfo info;
  std::string missing;
};
/// Imports the installed packages, so this may take seconds. Empty without a Python interpreter.
std::vector<PythonTarget> list_python_targets();

/// ATTNFUZZ_PYTHON; else .venv/bin/python of the checkout; else python3 on PATH.
std::string python_interpreter();
/// The folder to put on Python's path for attnfuzz's own package, as built beside this program;
/// empty where the interpreter has it installed, or nobody built it.
std::string python_package_folder();
/// Where corpus/ and targets/python/ lie: ATTNFUZZ_HOME, else share/attnfuzz beside the folder of
/// an installed program, else where attnfuzz was built from.
std::string attnfuzz_home();

}  // namespace attnfuzz
