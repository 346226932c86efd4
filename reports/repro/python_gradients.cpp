#include "reports/repro/python_gradients.h"

#include <fmt/format.h>

#include "reports/repro/python_arrays.h"
#include "reports/text.h"

namespace attnfuzz::python {
namespace {

/// Elements whose bound is unchecked have an infinite one.
Tensor bounds_of(const Case& c, const MoreAnswer& more) {
  const Tensor bounds = Tensor::from_doubles(DType::f64, more.shape, more.bound);
  return more.output == Output::dbias ? bounds : logical(bounds, c.problem.layout);
}

constexpr std::string_view kCompare = R"(np.seterr(all="ignore")
got, want, wrong_ones = target(), reference(), 0
for name, (right, allowed) in want.items():
    if got[name].shape != right.shape:
        sys.exit(f"{name} has shape {got[name].shape}, should be {right.shape}")
    value = got[name].astype(np.float64)
    error = np.abs(value - right)
    wrong = ~((error <= allowed) | (value == right) | np.isnan(value) & np.isnan(right) | np.isinf(allowed))
    if wrong.any():
        far = np.where(wrong, np.where(np.isnan(error), np.inf, error / allowed), -1)
        at = tuple(int(n) for n in np.unravel_index(far.argmax(), far.shape))
        print(f"{name}{list(at)} is {value[at]:.9g}, should be {right[at]:.9g} +- {allowed[at]:.2g}")
        print(f"{wrong.sum()} of {wrong.size} elements are wrong")
        wrong_ones += wrong.sum()
if not wrong_ones:
    print(f"right: all of {', '.join(want)} is within its bound")
sys.exit(int(wrong_ones > 0))
)";

}  // namespace

bool has_gradient_script(const Case& c) {
  const Problem& p = c.problem;
  return !p.asks(Output::lse) && !p.sinks && p.memory_kv == 0 && !p.has_dropout() &&
         c.data.nonfinite == NonFinite::none;
}

std::string gradient_arrays(const Case& c, const Inputs& inputs, const Precision& precision) {
  if (!c.problem.asks_gradients()) return {};
  std::string text =
      fmt::format("grad_out = {}\n# What rounding can make of each element of a gradient.\n",
                  array(logical(inputs.at("grad_out"), c.problem.layout), c, Role::grad_out));
  const Answer right = answer(c, inputs, precision);
  for (const MoreAnswer& more : right.steps[0].more)
    text += fmt::format("{}_allowed = {}\n", name(more.output),
                        array(bounds_of(c, more), c, Role::grad_out));
  return text;
}

std::string gradient_reference(const Case& c) {
  const Problem& p = c.problem;
  const std::string scale = text::number(p.scale_value());
  const bool inside = p.mask.adds_bias() && p.bias_order == BiasOrder::before_softcap;
  std::string out =
      "    dp = grad_out.astype(np.float64) @ V.swapaxes(2, 3)\n"
      "    ds = p * (dp - (p * dp).sum(-1, keepdims=True))\n";
  out += p.softcap > 0
             ? fmt::format("    dz = ds * (1 - np.tanh(x / {}) ** 2)\n", text::number(p.softcap))
             : "    dz = ds\n";
  // Query heads that share a KV head: their gradients add up.
  std::string shared;
  if (p.num_heads != p.num_kv_heads)
    shared = p.head_map == HeadMap::grouped
                 ? fmt::format(".reshape(len(q), {}, {}, *k.shape[2:3], -1).sum(2)", p.num_kv_heads,
                               p.num_heads / p.num_kv_heads)
                 : fmt::format(".reshape(len(q), {}, {}, *k.shape[2:3], -1).sum(1)",
                               p.num_heads / p.num_kv_heads, p.num_kv_heads);
  struct Row {
    Output output;
    std::string expression;
  };
  const Row rows[] = {
      {Output::dq, fmt::format("{} * (dz @ K)", scale)},
      {Output::dk, fmt::format("({} * (dz.swapaxes(2, 3) @ Q)){}", scale, shared)},
      {Output::dv, fmt::format("(p.swapaxes(2, 3) @ grad_out.astype(np.float64)){}", shared)},
      {Output::dbias, inside ? "dz" : "ds"}};
  out += "    return {\"out\": (out, allowed)";
  for (const Row& row : rows)
    if (p.asks(row.output))
      out += fmt::format(",\n            \"{0}\": ({1}, {0}_allowed)", name(row.output),
                         row.expression);
  return out + "}\n\n";
}

std::string gradient_comparison() {
  return std::string(kCompare);
}

}  // namespace attnfuzz::python
