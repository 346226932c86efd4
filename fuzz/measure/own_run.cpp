#include "fuzz/measure/own_run.h"

namespace attnfuzz::measure {

std::optional<OwnRun> run_on_own_data(Target& target, const Case& c, Budget& budget) {
  if (c.cached() || !budget.allows(1)) return {};
  budget.spend();
  const Inputs inputs = make_inputs(c);
  Outcome outcome = target.run(c, inputs);
  if (outcome.status != Status::ok || outcome.steps.size() != 1) return {};
  return OwnRun{std::move(outcome.steps[0]),
                answer(c, inputs, target.info().capabilities.precision_of(c.problem.dtype))};
}

}  // namespace attnfuzz::measure
