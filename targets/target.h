#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "oracle/inputs.h"
#include "targets/capabilities.h"
#include "targets/outcome.h"

namespace attnfuzz {

struct TargetInfo {
  std::string name;     ///< "cpu:tiled", "specimen:gla-cache-offset", "onnxruntime:Attention"
  std::string version;  ///< of the package or plug-in; attnfuzz's own for built-in ones
  std::string about;    ///< one line
  Capabilities capabilities;
  bool trusted = false;  ///< may run inside attnfuzz's own process
};

/// An implementation under test. run() is not called for cases outside the capabilities; it reports
/// failures in the Outcome and throws only when attnfuzz itself is at fault.
class Target {
 public:
  virtual ~Target() = default;
  virtual const TargetInfo& info() const = 0;
  virtual Outcome run(const Case& c, const Inputs& inputs) = 0;
  /// Makes the next run the first of a new process. False: there is none, the runs have no process
  /// of their own that could carry anything from one to the next.
  virtual bool restart() { return false; }
  /// How many threads work in the runs to come; one before it is called. Only targets that declare
  /// Property::thread_invariant are asked.
  virtual void use_threads(int /*count*/) {}
};

/// Built-in targets: one line each in targets/registry.cpp.
struct BuiltinTarget {
  std::string_view name;
  std::unique_ptr<Target> (*open)();
};
std::span<const BuiltinTarget> builtin_targets();

/// Whether a target's name is a Python one: "package:name", where package is no built-in family.
bool is_python_name(std::string_view name);

/// Opens "cpu:tiled", "specimen:NAME", "fixed:NAME", a plug-in by path ("./libmine.so"), or a
/// Python target "package:name" through a worker. Throws InputError for a name that is none of
/// these.
std::unique_ptr<Target> open_target(const std::string& name);

}  // namespace attnfuzz
