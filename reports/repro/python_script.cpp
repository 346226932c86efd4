#include "reports/repro/python_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/repro/python_arrays.h"
#include "reports/text.h"

namespace attnfuzz::python {
namespace {

/// The same inputs with |v| for v, and 0 where v is not finite.
Inputs absolute_values(const Inputs& inputs) {
  Inputs absolute;
  for (const auto& [name, tensor] : inputs.all()) {
    if (name[0] != 'v' && name != "mem_v") {
      absolute.add(name, tensor);
      continue;
    }
    std::vector<double> values = tensor.to_doubles();
    for (double& value : values) value = std::isfinite(value) ? std::abs(value) : 0;
    absolute.add(name, Tensor::from_doubles(tensor.dtype, tensor.shape, values));
  }
  return absolute;
}

}  // namespace

bool has_dtype(DType dtype) {
  return dtype != DType::e4m3 && dtype != DType::e5m2;
}

SimpleBound simple_bound(const Case& c, const Inputs& inputs, const Precision& precision) {
  const Answer right = answer(c, inputs, precision), weights = answer(c, absolute_values(inputs));
  SimpleBound simple;
  for (size_t s = 0; s < right.steps.size(); ++s) {
    const StepAnswer& step = right.steps[s];
    for (size_t n = 0; n < step.bound.size(); ++n) {
      const double bound = step.bound[n], weight = weights.steps[s].out[n];
      if (!std::isfinite(bound) || !std::isfinite(step.out[n])) continue;
      if (weight > 0 && bound / weight < 1)
        simple.factor = std::max(simple.factor, bound / weight);
      else
        simple.floor = std::max(simple.floor, bound);
    }
  }
  return simple;
}

std::string SimpleBound::text(std::string_view values) const {
  constexpr double digits_kept = 1.01;  // what is printed must not fall below the bound
  return fmt::format("{:.3g} * (p @ np.abs({})){}", factor * digits_kept, values,
                     floor > 0 ? fmt::format(" + {:.3g}", floor * digits_kept) : "");
}

std::string indented(std::string_view lines) {
  std::string out;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size() - 1) + 1;
    out.append("    ").append(lines.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string filled(const std::string& before, const std::vector<std::string>& arguments,
                   std::string_view after) {
  constexpr size_t most_columns = 112;
  std::string out, line = before;
  for (size_t n = 0; n < arguments.size(); ++n) {
    const bool last = n + 1 == arguments.size();
    const size_t more = arguments[n].size() + (last ? after.size() : 1);
    if (n > 0 && line.size() + 1 + more > most_columns) {
      out += line + '\n';
      line = "    ";
    } else if (n > 0) {
      line += ' ';
    }
    line += arguments[n];
    if (!last) line += ',';
  }
  return out + line + std::string(after);
}

Repro script(const Case& c, const TargetInfo& target, const Head& head, const std::string& text) {
  std::string standard = head.standard;
  for (const std::string_view module : {"base64", "sys"})
    if (text.find(fmt::format("{}.", module)) != text.npos)
      standard += fmt::format("import {}\n", module);
  if (!standard.empty()) standard += '\n';
  return {
      "repro.py",
      fmt::format("# {} {}: {}\n# Exits 1 while it is wrong here, 0 once it is fixed. Needs {} and "
                  "numpy. Found by attnfuzz.\n{}import numpy as np\n{}\n{}{}",
                  text::line(target.name), text::line(target.version), one_line(c), head.needs,
                  standard, head.imports,
                  text.find("normal_tensor(") == text.npos ? "" : normal_function(), text)};
}

}  // namespace attnfuzz::python
