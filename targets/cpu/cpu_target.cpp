#include "targets/cpu/cpu_target.h"

#include <utility>

#include "oracle/build.h"
#include "targets/cpu/rotary.h"

namespace attnfuzz {

CpuTarget::CpuTarget(std::string name, std::string about, std::string_view capabilities)
    : info_{std::move(name), build::version(), std::move(about), {}, true} {
  info_.capabilities = parse_capabilities(capabilities, info_.name);
}

Outcome CpuTarget::run(const Case& c, const Inputs& inputs) {
  if (std::string why = info_.capabilities.rejection_reason(c); !why.empty())
    return {Status::declined, std::move(why), {}};
  const bool turned = c.problem.rope != Rope::none && !c.cached();
  return turned ? compute(c, turned_inputs(c, inputs)) : compute(c, inputs);
}

StepOutput empty_output(const Problem& problem) {
  StepOutput step;
  for (const Output output : problem.outputs) {
    const OutputSpec spec = output_spec(problem, output, problem.q_len);
    Tensor& tensor = output == Output::out ? step.out : step.more[output];
    tensor = Tensor(spec.dtype, spec.shape);
  }
  return step;
}

}  // namespace attnfuzz
