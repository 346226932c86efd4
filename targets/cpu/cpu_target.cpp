#include "targets/cpu/cpu_target.h"

#include <utility>

#include "oracle/build.h"

namespace attnfuzz {

CpuTarget::CpuTarget(std::string name, std::string about, std::string_view capabilities)
    : info_{std::move(name), build::version(), std::move(about), {}, true} {
  info_.capabilities = parse_capabilities(capabilities, info_.name);
}

Outcome CpuTarget::run(const Case& c, const Inputs& inputs) {
  if (std::string why = info_.capabilities.why_not(c); !why.empty())
    return {Status::declined, std::move(why), {}};
  return compute(c, inputs);
}

}  // namespace attnfuzz
