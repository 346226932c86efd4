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
  words.reserve(values.size());
  for (const double value : values)
    words.push_back(std::isnan(value)   ? "np.nan"
                    : std::isinf(value) ? (value < 0 ? "-np.inf" : "np.inf")
                                        : fmt::format("{:.{}g}", value * times, digits));
  const bool same = std::all_of(words.begin(), words.end(),
                                [&](const std::string& word) { return word == words.front(); });
  if (same && words.size() > 1) return fmt::format("[{}] * {}", words.front(), words.size());
  return fmt::format("[{}]", fmt::join(words, ", "));
}

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

std::string expected(const StepAnswer& step, const Case& c) {
  const int digits = c.problem.dtype == DType::f64 ? 17 : 10;
  constexpr double up = 1.01;  // what is printed must not fall below the bound
  const auto text = [&](const std::vector<double>& values, int kept, double times) {
    const Tensor held =
        logical(Tensor::from_doubles(DType::f64, step.shape, values), c.problem.layout);
    return fmt::format("np.reshape({}, ({}))", literals(held.to_doubles(), kept, times),
                       fmt::join(held.shape, ", "));
  };
  return text(step.out, digits, 1) + ", " + text(step.bound, 3, up);
}

std::string comparison(const Answer& answer, std::string_view indent, std::string_view where) {
  const bool finite = std::all_of(answer.steps.begin(), answer.steps.end(), is_finite);
  return fmt::format(
      R"({0}assert out.shape == want.shape, f"{1}out has shape {{out.shape}}, should be {{want.shape}}"
{0}wrong = ~({2})
{0}for at in map(tuple, np.argwhere(wrong).tolist()):
{0}    raise SystemExit(f"{1}out{{list(at)}} is {{out[at]:.9g}}, should be {{want[at]:.9g}} +- {{allowed[at]:.2g}}; {{wrong.sum()}} wrong")
)",
      indent, where,
      finite ? "abs(out - want) <= allowed"
             : "(abs(out - want) <= allowed) | (out == want) | np.isinf(allowed) | np.isnan(out) & "
               "np.isnan(want)");
}

}  // namespace attnfuzz::python
