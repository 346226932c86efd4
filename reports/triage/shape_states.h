#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "reports/triage/sizes_known.h"
#include "reports/triage/solving.h"

/// The readings of a message's shapes, one by one, as they grow.
namespace attnfuzz::triage {

struct State {
  Score score;
  Sizes sizes;
  std::vector<std::vector<Axis>> axes;    ///< of each shape, as the layout has them
  std::vector<std::vector<Axis>> stands;  ///< what each number stands for
  std::vector<Role> roles;
  Form form = Form::unknown;
};

/// The best readings of the message's shapes and of those that other lines label.
struct ShapeStates {
  std::vector<State> states;
  std::vector<size_t> mentions;  ///< which are shapes
  size_t count = 0;              ///< how many of these were read
};
ShapeStates shape_states(const std::vector<Mention>& mentions, const Evidence& evidence,
                         const Weights& weights);

}  // namespace attnfuzz::triage
