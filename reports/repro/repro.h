#pragma once
#include "reports/report.h"

/// One function for each family of targets; the table is in reports/repro.cpp. Each gives an empty
/// Repro for a case that it cannot put into a program.
namespace attnfuzz {

Repro replay_repro(const Case& c, const TargetInfo& target);  ///< calls `attnfuzz replay`
/// The same for a relation that the target breaks, and for a case that fails after others.
Repro replay_repro(const Case& c, const TargetInfo& target, const Relation* relation,
                   const std::vector<Case>& before);

Repro jax_repro(const Case& c, const TargetInfo& target);
Repro keras_repro(const Case& c, const TargetInfo& target);
Repro transformers_repro(const Case& c, const TargetInfo& target);
Repro x_transformers_repro(const Case& c, const TargetInfo& target);
Repro torch_repro(const Case& c, const TargetInfo& target);
Repro onnxruntime_repro(const Case& c, const TargetInfo& target);
Repro function_repro(const Case& c, const TargetInfo& target);  ///< a function in Python
Repro plugin_repro(const Case& c, const TargetInfo& target);    ///< C++

}  // namespace attnfuzz
