#include "reports/repro/python_short.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "reports/repro/python_arrays.h"

namespace attnfuzz::python {
namespace {

constexpr int64_t kMostExpected = 96;  ///< elements, over all steps

std::string literals(const std::vector<double>& values, int digits, double times) {
  std::vector<std::string> words;
  for (const double value : values)
    words.push_back(std::isnan(value)   ? "np.nan"
                    : std::isinf(value) ? (value < 0 ? "-np.inf" : "np.inf")
                                        : fmt::format("{:.{}g}", value * times, digits));
  const bool same = std::all_of(words.begin(), words.end(),
                                [&](const std::string& word) { return word == words.front(); });
  if (same && words.size() > 1) return fmt::format("[{}] * {}", words.front(), words.size());
  return fmt::format("[{}]", fmt::join(words, ", "));
}

/// A step's answer in [batch, heads, len, dim]: two NumPy expressions.
std::string expected(const StepAnswer& step, const Case& c) {
  const int digits = c.problem.dtype == DType::f64 ? 17 : 10;
  constexpr double up = 1.01;  // what is printed must not fall below the bound
  const auto text = [&](const std::vector<double>& values, int kept, double times) {
    const Tensor held =
        logical(Tensor::from_doubles(DType::f64, step.shape, values), c.problem.layout);
    return fmt::format("np.reshape({}, ({},))", literals(held.to_doubles(), kept, times),
                       fmt::join(held.shape, ", "));
  };
  return text(step.out, digits, 1) + ", " + text(step.bound, 3, up);
}

constexpr std::string_view kCheck = R"(def check(out, want, allowed, where="out"):
    if out.shape != want.shape:
        sys.exit(f"{where} has shape {out.shape}, should be {want.shape}")
    good = (np.abs(out - want) <= allowed) | (out == want) | np.isinf(allowed) | np.isnan(out) & np.isnan(want)
    for at in np.argwhere(~good)[:1]:
        at = tuple(at.tolist())
        sys.exit(f"{where}{list(at)} is {out[at]:.9g}, should be {want[at]:.9g} +- {allowed[at]:.2g}; {(~good).sum()} wrong")

)";

/// kCheck in few lines, for one step without an infinity or a NaN in it.
constexpr std::string_view kCheckFinite = R"(out, want, allowed = target().astype(np.float64), {}
if out.shape != want.shape:
    sys.exit(f"out has shape {{out.shape}}, should be {{want.shape}}")
wrong = np.argwhere(~(np.abs(out - want) <= allowed)).tolist()
for at in map(tuple, wrong[:1]):
    sys.exit(f"out{{list(at)}} is {{out[at]:.9g}}, should be {{want[at]:.9g}} +- {{allowed[at]:.2g}}; {{len(wrong)}} wrong")
print("right")
)";

bool is_finite(const StepAnswer& step) {
  const auto finite = [](double value) { return std::isfinite(value); };
  return std::all_of(step.out.begin(), step.out.end(), finite) &&
         std::all_of(step.bound.begin(), step.bound.end(), finite);
}

}  // namespace

bool is_short(const Answer& answer) {
  int64_t count = 0;
  for (const StepAnswer& step : answer.steps) count += static_cast<int64_t>(step.out.size());
  return count <= kMostExpected;
}

std::string check_once(const Case& c, const Answer& answer) {
  if (is_finite(answer.steps.front()))
    return fmt::format(kCheckFinite, expected(answer.steps.front(), c));
  return std::string(kCheck) +
         fmt::format("check(target().astype(np.float64), {})\nprint(\"right\")\n",
                     expected(answer.steps.front(), c));
}

std::string check_steps(const Case& c, const Answer& answer) {
  std::string out =
      std::string(kCheck) + "expected = [  # the rows' lengths, out and its largest error\n";
  for (const StepAnswer& step : answer.steps)
    out += fmt::format("    ([{}]{}),\n", fmt::join(step.lengths, ", "),
                       step.shape.empty() ? "," : ", " + expected(step, c));
  return out + R"(]
for n, ((out, lengths), (right, *want)) in enumerate(zip(target(), expected)):
    if list(lengths) != right:
        sys.exit(f"step {n}: the cache holds {list(lengths)} tokens, should be {right}")
    if want:
        check(out.astype(np.float64), *want, f"step {n}: out")
print("right")
)";
}

}  // namespace attnfuzz::python
