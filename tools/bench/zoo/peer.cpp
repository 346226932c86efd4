// The zoo for Python's ctypes: what zoo_hypothesis.py calls. The peer is given the exact answer, so
// that the comparison is one of cases and tolerances.
#include <algorithm>
#include <cmath>
#include <string>

#include "fuzz/elements.h"
#include "fuzz/shrink.h"
#include "oracle/answer.h"
#include "oracle/case_io.h"
#include "targets/zoo/zoo.h"

namespace {

using namespace attnfuzz;

/// torch.testing.assert_close's tolerances.
struct Tolerance {
  double relative, absolute;
};
Tolerance tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return {1e-7, 1e-7};
    case DType::f32:
      return {1.3e-6, 1e-5};
    case DType::f16:
      return {1e-3, 1e-5};
    default:
      return {1.6e-2, 1e-5};
  }
}

bool is_close(double got, double want, const Tolerance& allowed) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
  return got == want ||
         std::abs(got - want) <= allowed.absolute + allowed.relative * std::abs(want);
}

bool is_close(const Case& c, const StepAnswer& want, const StepOutput& got) {
  if (got.lengths != want.lengths) return false;
  for (const WantedOutput& each : wanted_outputs(c, want)) {
    const Tensor* given = given_output(got, each.output);
    if (given == nullptr || given->shape != *each.shape) return false;
    const std::vector<double> values = given->to_doubles();
    for (size_t e = 0; e < values.size(); ++e)
      if (!std::isinf((*each.bound)[e]) &&
          !is_close(values[e], (*each.values)[e], tolerance(each.dtype)))
        return false;
  }
  return true;
}

const zoo::Mutant& mutant(int number) {
  return zoo::mutants()[static_cast<size_t>(number)];
}

}  // namespace

extern "C" {

int zoo_count() {
  return static_cast<int>(zoo::mutants().size());
}

const char* zoo_name(int number) {
  return mutant(number).name.data();
}

/// Of the built-in target whose claims the mutant makes: see `attnfuzz targets --json`.
const char* zoo_kernel(int number) {
  return zoo::name_of(mutant(number).kernel).data();
}

/// Whether it gives gradients, and has dropout.
int zoo_gives_more(int number) {
  return zoo::gives_more(mutant(number).kernel) ? 1 : 0;
}

/// 1: assert_close would hold; 0: it would fail; −1: the case is impossible, or not claimed.
int zoo_is_close(int number, const char* json) {
  const std::unique_ptr<Target> target = zoo::open(mutant(number));
  Case c;
  try {
    c = parse_case(json, "case").c;
  } catch (const InputError&) {
    return -1;
  }
  if (!target->info().capabilities.rejection_reason(c).empty()) return -1;
  const Inputs inputs = make_inputs(c);
  const Answer right = answer(c, inputs, target->info().capabilities.precision_of(c.problem.dtype));
  const Outcome outcome = target->run(c, inputs);
  if (outcome.status != Status::ok || outcome.steps.size() != right.steps.size()) return 0;
  for (size_t s = 0; s < right.steps.size(); ++s)
    if (!is_close(c, right.steps[s], outcome.steps[s])) return 0;
  return 1;
}

/// The shrinker's measure of a case.
uint64_t zoo_weight(const char* json) {
  return weight(parse_case(json, "case").c);
}

}  // extern "C"
