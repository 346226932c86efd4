#pragma once
#include <string_view>
#include <vector>

#include "reports/triage/layouts.h"

namespace attnfuzz::triage {

/// How the tensor of a checkpoint that a message names ("layers.0.attn.wk.weight") is laid out:
/// [out, in] features of the projection that the name tells. Empty for a message without one.
std::vector<Layout> parameter_layouts(std::string_view message);

}  // namespace attnfuzz::triage
