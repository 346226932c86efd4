#include "fuzz/measure/calls.h"

#include <fmt/format.h>

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

}  // namespace

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
