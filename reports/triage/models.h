#pragma once
#include <string_view>
#include <vector>

#include "reports/triage/axes.h"

/// Sizes of models that many reports name: "Llama-3.1-8B" has 32 heads, 8 of them with keys.
namespace attnfuzz::triage {

struct ModelSize {
  Axis axis;
  int64_t value;
  double weight;  ///< how far it is to be trusted that the call has it
};

/// Of the model that the text names; of several the one that is named first. Empty: none.
std::vector<ModelSize> model_sizes(std::string_view text);

}  // namespace attnfuzz::triage
