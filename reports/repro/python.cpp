#include "reports/repro/python.h"

#include <fmt/format.h>

#include "reports/repro/python_arrays.h"
#include "reports/repro/python_gradients.h"
#include "reports/repro/python_script.h"
#include "reports/repro/python_short.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// A tensor's name in the script and its role.
struct Named {
  std::string_view name;
  Role role;
};
constexpr Named kTensors[] = {{"q", Role::q},        {"k", Role::k},         {"v", Role::v},
                              {"bias", Role::bias},  {"sinks", Role::sinks}, {"mem_k", Role::mem_k},
                              {"mem_v", Role::mem_v}};

std::string arrays(const Case& c, const Inputs& inputs, bool with_mask, bool brief) {
  std::string out = "# [batch, heads, len, dim]\n";
  for (const Named& each : kTensors)
    if (const Tensor* tensor = inputs.find(each.name)) {
      const bool in_layout = each.name.size() == 1;
      const Tensor held = in_layout                 ? python::logical(*tensor, c.problem.layout)
                          : each.role == Role::bias ? python::broadcastable(*tensor)
                                                    : *tensor;
      out += fmt::format("{} = {}\n", each.name, python::array(held, c, each.role, 0, brief));
    }
  if (with_mask)
    out += fmt::format("# Which keys (columns) a query (row) sees.\nmask = {}\n",
                       python::mask(inputs.at("mask")));
  return out;
}

/// What makes p of a row that sees no key, and its output where p cannot say it.
struct EmptyRow {
  std::string_view p, out;
};
constexpr EmptyRow kEmptyRows[] = {
    {"    p = p / np.where(total == 0, 1, total)\n", ""},  // zero
    {"    p = p / np.where(total == 0, 1, total)\n",
     "    out = np.where(total == 0, np.nan, out)\n"},
    {"    p = np.where(total == 0, 1 / max(1, p.shape[-1]), p / total)\n", ""},  // uniform
    {"    p = p / np.where(total == 0, 1, total)\n", ""},  // any: not compared
};

/// The reference in float64, with the lines that the case needs.
std::string reference(const Case& c, const python::SimpleBound& bound) {
  const Problem& p = c.problem;
  const bool masked = !p.mask.rules.empty(), biased = p.mask.adds_bias();
  const bool bias_first = biased && p.bias_order == BiasOrder::before_softcap;
  const bool nonfinite = c.data.nonfinite != NonFinite::none;
  std::string out = "def reference():\n";
  out += "    Q, K, V = (x.astype(np.float64) for x in (q, k, v))\n";
  if (p.memory_kv > 0)
    out +=
        "    K, V = (np.concatenate([np.broadcast_to(m, (len(x), *m.shape)), x], 2) for m, x in "
        "((mem_k, K), (mem_v, V)))\n";
  if (p.num_heads != p.num_kv_heads && p.num_kv_heads > 0) {
    const int64_t group = p.num_heads / p.num_kv_heads;
    out += p.head_map == HeadMap::grouped
               ? fmt::format("    K, V = (np.repeat(x, {}, 1) for x in (K, V))\n", group)
               : fmt::format("    K, V = (np.tile(x, (1, {}, 1, 1)) for x in (K, V))\n", group);
  }
  out += fmt::format("    s = Q @ K.swapaxes(2, 3) * {}\n", text::number(p.scale_value()));
  // Memory keys come first; no rule hides them and no bias is added to them.
  const std::string own = p.memory_kv > 0 ? fmt::format("[..., {}:]", p.memory_kv) : "";
  if (bias_first) out += fmt::format("    s{} += bias\n", own);
  if (p.softcap > 0 && p.asks_gradients()) out += "    x = s\n";
  if (p.softcap > 0)
    out += fmt::format("    s = {0} * np.tanh(s / {0})\n", text::number(p.softcap));
  if (biased && !bias_first) out += fmt::format("    s{} += bias\n", own);
  const std::string seen = own.empty() ? "mask" : "seen";
  if (masked && !own.empty())
    out += fmt::format("    seen = np.ones(s.shape, bool)\n    seen{} = mask\n", own);
  if (masked) out += fmt::format("    s = np.where({}, s, -np.inf)\n", seen);
  out += "    top = s.max(-1, keepdims=True, initial=-1e300)\n";
  if (p.sinks) out += "    top = np.maximum(top, sinks.astype(np.float64)[:, None, None])\n";
  out += "    p = np.exp(s - top)\n    total = p.sum(-1, keepdims=True)\n";
  if (p.sinks) out += "    total = total + np.exp(sinks.astype(np.float64)[:, None, None] - top)\n";
  const EmptyRow& empty = kEmptyRows[static_cast<size_t>(p.fully_masked)];
  out += empty.p;
  if (nonfinite)  // a key that is not seen adds nothing, whatever it holds
    out += fmt::format("    out = np.where({}, p[..., None] * V[:, :, None], 0).sum(3)\n",
                       masked ? seen + "[..., None]" : "True");
  else
    out += "    out = p @ V\n";
  out += empty.out;
  out += "    allowed = " + bound.text(nonfinite ? "np.nan_to_num(V, posinf=0, neginf=0)" : "V") +
         "\n";
  if (p.fully_masked == FullyMasked::any && masked)
    out +=
        fmt::format("    allowed = np.where({}.any(-1, keepdims=True), allowed, np.inf)\n", seen);
  return out + (p.asks_gradients() ? python::gradient_reference(c) : "    return out, allowed\n\n");
}

constexpr std::string_view kCompare = R"(np.seterr(all="ignore")
got, (want, allowed) = target(), reference()
if got.shape != want.shape:
    sys.exit(f"out has shape {got.shape}, should be {want.shape}")
got = got.astype(np.float64)
error = np.abs(got - want)
wrong = ~((error <= allowed) | (got == want) | np.isnan(got) & np.isnan(want) | np.isinf(allowed))
if not wrong.any():
    print(f"right: all {wrong.size} elements are within their bound")
    sys.exit(0)
far = np.where(wrong, np.where(np.isnan(error), np.inf, error / allowed), -1)
at = tuple(int(n) for n in np.unravel_index(far.argmax(), far.shape))
print(f"out{list(at)} is {got[at]:.9g}, should be {want[at]:.9g} +- {allowed[at]:.2g}")
print(f"{wrong.sum()} of {wrong.size} elements are wrong")
sys.exit(1)
)";

/// Whether the call uses the array `mask`, not an argument of that name alone.
bool mentions_mask(std::string_view body) {
  return body.find("(mask") != body.npos || body.find("=mask") != body.npos;
}

/// The end of a script whose answer is written out.
std::string check_once(const Case& c, const Answer& right) {
  return fmt::format("out, want, allowed = target(), {}\n{}print(\"right\")\n",
                     python::expected(right.steps.front(), c), python::comparison(right, "", ""));
}

}  // namespace

Repro python_repro(const Case& c, const TargetInfo& target, const PythonCall& call) {
  const Problem& p = c.problem;
  if (c.cached() || p.recurrent() || p.rope != Rope::none || !python::has_dtype(p.dtype)) return {};
  const bool more = p.outputs.size() > 1 || p.has_dropout();
  if (more && (!call.gives_gradients || !python::has_gradient_script(c))) return {};
  if (!sample_of(c).empty()) return {};  // too long for a script that works out all rows
  const Inputs inputs = make_inputs(c);
  const Precision precision = target.capabilities.precision_of(c.problem.dtype);
  const Answer right = answer(c, inputs, precision);
  const bool brief = !more && python::is_short(right);
  const auto script = [&](bool with_mask, const std::string& end) {
    return python::script(c, target, {call.standard, call.imports, call.needs},
                          call.helpers + arrays(c, inputs, with_mask, brief) +
                              python::gradient_arrays(c, inputs, precision) + "\ndef target():\n" +
                              call.body + "\n" + end);
  };
  if (brief) return script(mentions_mask(call.body), check_once(c, right));
  const python::SimpleBound bound = python::simple_bound(c, inputs, precision);
  const std::string compare =
      p.asks_gradients() ? python::gradient_comparison() : std::string(kCompare);
  return script(!p.mask.rules.empty(), reference(c, bound) + compare);
}

}  // namespace attnfuzz
