#include "reports/repro/repro.h"

#include "targets/recording.h"

namespace attnfuzz {
namespace {

struct Family {
  std::string_view prefix;  ///< of the target's name
  Repro (*make)(const Case&, const TargetInfo&);
};

constexpr Family kFamilies[] = {
    {"torch:", torch_repro},
    {"onnxruntime:", onnxruntime_repro},
    {"transformers:", transformers_repro},
    {"x-transformers:", x_transformers_repro},
    {"jax:", jax_repro},
    {"keras:", keras_repro},
    {"python:", function_repro},
    {"", plugin_repro},  // those named by a path
    {"", replay_repro},  // any target, with attnfuzz itself
};

}  // namespace

bool needs_attnfuzz(std::string_view file_name) {
  return file_name.ends_with(".sh");
}

Repro make_repro(const Case& c, const TargetInfo& target, const Relation* relation) {
  if (target.name.starts_with(recorded_prefix)) return {};  // the call can not be made again
  if (relation != nullptr) return replay_repro(c, target, relation, {});
  if (c.problem.strides != Strides::dense) return replay_repro(c, target);
  for (const Family& family : kFamilies)
    if (target.name.rfind(family.prefix, 0) == 0)
      if (Repro repro = family.make(c, target); !repro.text.empty()) return repro;
  return {};
}

Repro make_repro(const Finding& finding) {
  TargetInfo target;
  target.name = finding.target;
  target.version = finding.version;
  target.capabilities.precision[finding.shrunk.c.problem.dtype] = finding.last.precision;
  const Verdict& verdict = finding.last.verdict;
  const Relation* relation = verdict.failure == FailureKind::relation ? verdict.relation : nullptr;
  if (!finding.before.empty())
    return replay_repro(finding.shrunk.c, target, relation, finding.before);
  return make_repro(finding.shrunk.c, target, relation);
}

}  // namespace attnfuzz
