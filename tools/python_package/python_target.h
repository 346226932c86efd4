#pragma once
#include <nanobind/nanobind.h>

#include "targets/target.h"

namespace attnfuzz::python {

/// A Python function as a target, run in this process. It is called with the case's text and its
/// inputs (a dict of NumPy arrays of its own), and yields one tuple for each step:
/// (dtype, raw array or None, lengths, positions, capacity or None, {name: (dtype, raw array)} of
/// what the case asks for beside out). It may be run without the GIL. An exception becomes an error
/// of the case; KeyboardInterrupt and others that are no Exception go through.
class PythonTarget final : public Target {
 public:
  /// `declined`: the exception that says that a case is rejected by the documentation.
  PythonTarget(TargetInfo info, nanobind::callable run, nanobind::object declined)
      : info_(std::move(info)), run_(std::move(run)), declined_(std::move(declined)) {}
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override;

 private:
  TargetInfo info_;
  nanobind::callable run_;
  nanobind::object declined_;
};

/// A copy as a NumPy array. NumPy has no bf16 and no 8-bit floats: their raw bits are given, as
/// uint16 and uint8.
nanobind::object to_numpy(const Tensor& tensor);
/// The inputs by name.
nanobind::dict to_numpy(const Inputs& inputs);
/// A copy of such a tuple.
StepOutput to_step(nanobind::handle step);

}  // namespace attnfuzz::python
