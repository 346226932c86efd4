#pragma once
#include <string_view>
#include <vector>

#include "reports/triage/layouts.h"

namespace attnfuzz::triage {

/// How the tensor of a checkpoint that a message names ("layers.0.attn.wk.weight") is laid out:
/// [out, in] features of the projection that the name tells. Empty for a message without one.
std::vector<Layout> parameter_layouts(std::string_view message);

/// The same for a projection that a text names without a checkpoint ("qkv_proj", "Wk"): a layer
/// may have its weight either way round. Empty where it names none, or several.
std::vector<Layout> projection_layouts(std::string_view text);

}  // namespace attnfuzz::triage
