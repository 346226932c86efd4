#include "fuzz/measure/calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/elements.h"
#include "oracle/answer.h"
#include "oracle/inputs.h"

namespace attnfuzz::measure {
namespace {

bool same_bits(const Outcome& a, const Outcome& b) {
  if (a.status != b.status || a.steps.size() != b.steps.size()) return false;
  for (size_t s = 0; s < a.steps.size(); ++s) {
    const StepOutput &x = a.steps[s], &y = b.steps[s];
    if (x.out.bytes != y.out.bytes || x.more.size() != y.more.size()) return false;
    for (const auto& [output, tensor] : x.more) {
      const auto other = y.more.find(output);
      if (other == y.more.end() || tensor.bytes != other->second.bytes) return false;
    }
  }
  return true;
}

/// How many elements of out of two runs are farther apart than rounding, of how many.
struct Apart {
  size_t count = 0, of = 0;
  double most = 0;
};

Apart apart(const Case& c, const Answer& right, const Outcome& a, const Outcome& b) {
  Apart all;
  for (size_t s = 0; s < std::min({right.steps.size(), a.steps.size(), b.steps.size()}); ++s)
    for (const WantedOutput& wanted : wanted_outputs(c, right.steps[s])) {
      const Tensor *x = given_output(a.steps[s], wanted.output),
                   *y = given_output(b.steps[s], wanted.output);
      if (x == nullptr || y == nullptr || x->shape != *wanted.shape || y->shape != *wanted.shape)
        continue;
      const std::vector<double> first = judged_values(c, wanted, *x),
                                second = judged_values(c, wanted, *y);
      for (size_t e = 0; e < first.size(); ++e, ++all.of) {
        const double off = std::abs(first[e] - second[e]);
        const bool other =
            std::isnan(first[e]) != std::isnan(second[e]) || off > 2 * (*wanted.bound)[e];
        if (!other) continue;
        ++all.count;
        if (std::isfinite(off)) all.most = std::max(all.most, off);
      }
    }
  return all;
}

}  // namespace

std::vector<Statement> changing_values(Target& target, const Case& c) {
  constexpr int calls = 4;
  const Inputs inputs = make_inputs(c);
  const Answer right = answer(c, inputs, target.info().capabilities.precision_of(c.problem.dtype));
  const Outcome first = target.run(c, inputs);
  if (first.status != Status::ok) return {};
  for (int n = 1; n < calls; ++n) {
    const Apart seen = apart(c, right, first, target.run(c, inputs));
    if (seen.count == 0) continue;
    return {
        {"calls", fmt::format("Equal calls give other values: {} of {} elements differ by more "
                              "than rounding between call 1 and call {} on the same tensors, by "
                              "up to {:.3g}. Something besides the tensors takes part: memory "
                              "that is read before it is written, a race, or what an earlier "
                              "call left.",
                              seen.count, seen.of, n + 1, seen.most)}};
  }
  return {};
}

std::vector<Statement> repeated_calls(Target& target, const Case& c) {
  constexpr int processes = 4;
  const Inputs inputs = make_inputs(c);
  std::vector<Outcome> firsts, seconds;
  for (int n = 0; n < processes; ++n) {
    if (!target.restart()) return {};
    firsts.push_back(target.run(c, inputs));
    seconds.push_back(target.run(c, inputs));
    if (!same_bits(firsts.front(), firsts.back()) || !same_bits(seconds.front(), seconds.back()))
      return {};
  }
  if (same_bits(firsts.front(), seconds.front())) return {};
  return {{"calls", fmt::format("The first call in each of {} new processes gives the same bits, "
                                "and the second call of the same case gives other ones, the same "
                                "in each: the target is deterministic, but keeps something from "
                                "call to call.",
                                processes)}};
}

}  // namespace attnfuzz::measure
