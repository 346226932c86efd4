#include "fuzz/properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/elements.h"
#include "fuzz/shrink.h"

namespace attnfuzz {
namespace {

constexpr int other_threads = 3;

/// The two sides of a comparison, in words.
struct Sides {
  std::string_view first, second;
};

bool is_summed_over_batch(Output output) {
  return output == Output::dsinks || output == Output::dmem_k || output == Output::dmem_v;
}

/// The first checked element that differs between two runs of the case, or of the case and the
/// first rows of its batch (all shapes begin with the batch); empty: none.
std::string difference(const Case& c, const Answer& right, const Outcome& all,
                       const Outcome& second, bool rows_left_out, const Sides& sides) {
  if (second.status != Status::ok)
    return fmt::format("{}: {}: {}", sides.second, name(second.status), second.text);
  if (second.steps.size() != all.steps.size())
    return fmt::format("{} gives {} steps' outputs, {} {}", sides.first, all.steps.size(),
                       sides.second, second.steps.size());
  for (size_t s = 0; s < all.steps.size(); ++s)
    for (const WantedOutput& wanted : wanted_outputs(c, right.steps[s])) {
      if (rows_left_out && is_summed_over_batch(wanted.output)) continue;
      const Tensor* other = given_output(second.steps[s], wanted.output);
      if (other == nullptr) return fmt::format("{}: no {}", sides.second, name(wanted.output));
      const std::vector<double> x = given_output(all.steps[s], wanted.output)->to_doubles();
      const std::vector<double> y = other->to_doubles();
      if (y.size() > x.size() || (!rows_left_out && y.size() < x.size()))
        return fmt::format("{}: {} has shape {}", sides.second, name(wanted.output),
                           to_string(other->shape));
      for (size_t e = 0; e < wanted.bound->size(); ++e) {
        const bool checked = (*wanted.bound)[e] < std::numeric_limits<double>::infinity();
        const size_t at = element_offset(c, wanted, e);
        if (!checked || at >= y.size() || x[at] == y[at] ||
            (std::isnan(x[at]) && std::isnan(y[at])))
          continue;
        return fmt::format(
            "{}{} is {:.9g} {}, {:.9g} {}", c.cached() ? fmt::format("step {}: ", s) : "",
            place_text(element_place(c, wanted, s, e)), x[at], sides.first, y[at], sides.second);
      }
    }
  return {};
}

/// Whether the first row alone is a case of its own, with the data that it has in the batch.
bool first_row_stands_alone(const Case& c) {
  return c.problem.batch > 1 && std::none_of(c.steps.begin(), c.steps.end(), [](const Step& step) {
           return step.op == StepOp::reorder || step.op == StepOp::fork;
         });
}

}  // namespace

std::string broken_property(Target& target, const Case& c, const Inputs& inputs,
                            const Answer& right, const Outcome& outcome) {
  const Capabilities& can = target.info().capabilities;
  if (can.has(Property::deterministic)) {
    std::string words = difference(c, right, outcome, target.run(c, inputs), false,
                                   {"in one run", "in a second run of the same case"});
    if (!words.empty()) return words;
  }
  if (can.has(Property::thread_invariant)) {
    target.use_threads(other_threads);
    const Outcome second = target.run(c, inputs);
    target.use_threads(1);
    std::string words = difference(c, right, outcome, second, false, {"on one thread", "on three"});
    if (!words.empty()) return words;
  }
  if (!can.has(Property::batch_invariant) || !first_row_stands_alone(c)) return {};
  const Case alone = with_rows(c, {0});
  if (!can.rejection_reason(alone).empty()) return {};
  return difference(c, right, outcome, target.run(alone, make_inputs(alone)), true,
                    {"in the batch", "with the first row alone"});
}

}  // namespace attnfuzz
