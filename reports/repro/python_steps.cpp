#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/repro/python_arrays.h"
#include "reports/repro/python_script.h"
#include "reports/repro/python_short.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

std::string step_text(const Case& c, const Inputs& inputs, size_t index) {
  const Step& step = c.steps[index];
  if (step.op == StepOp::reorder)
    return fmt::format("    (\"reorder\", [{}]),\n", fmt::join(step.rows, ", "));
  if (step.op == StepOp::crop) return fmt::format("    (\"crop\", {}),\n", step.length);
  if (step.op == StepOp::reset) return "    (\"reset\", 0),\n";
  std::string out = fmt::format("    (\"{}\",\n", name(step.op));
  for (const Role role : {Role::q, Role::k, Role::v}) {
    const Tensor& tensor = inputs.at(fmt::format("{}.{}", name(role), index));
    out +=
        "     " +
        python::array(python::logical(tensor, c.problem.layout), c, role, static_cast<int>(index)) +
        ",\n";
  }
  std::vector<int64_t> lens = step.lens;
  if (lens.empty()) lens.assign(static_cast<size_t>(c.problem.batch), step.q_len);
  return out + fmt::format("     [{}]),\n", fmt::join(lens, ", "));
}

/// Which keys j the queries at positions i see.
std::string seen_text(const Case& c) {
  std::vector<std::string> all;
  if (c.problem.mask.find("causal")) all.emplace_back("(j <= i)");
  if (const RuleUse* window = c.problem.mask.find("window"))
    all.push_back(
        fmt::format("(j >= i - {}) & (j <= i + {})", window->integer(0), window->integer(1)));
  if (c.cache->kind == CacheKind::ring)
    all.push_back(fmt::format("(j > i - {})", c.cache->capacity));
  return all.empty() ? "(j >= 0 * i)" : fmt::format("{}", fmt::join(all, " & "));
}

/// Row by row, each a list of its tokens' k and v.
std::string reference(const Case& c, const python::SimpleBound& bound) {
  const Problem& p = c.problem;
  const int64_t group = p.num_kv_heads > 0 ? p.num_heads / p.num_kv_heads : 1;
  std::string out = fmt::format(R"(def reference():
    rows, answers = [[] for _ in range({})], []
    for op, *given in steps:
        out = allowed = None
        if op == "reorder":
            rows = [list(rows[n]) for n in given[0]]
        elif op in ("crop", "reset"):
            rows = [row[:given[0]] for row in rows]
        else:
            q, k, v, lens = given
            out = np.zeros((*q.shape[:3], v.shape[3]))
            allowed = np.full(out.shape, np.inf)  # of padding: not compared
            for b, new in enumerate(lens):
                i = np.arange(len(rows[b]), len(rows[b]) + new)[:, None]
                rows[b] += [(k[b, :, n], v[b, :, n]) for n in range(new)]
                if not rows[b]:
                    continue
                K, V = (np.stack(x, 1).astype(np.float64) for x in zip(*rows[b]))  # [heads, tokens, dim]
                j = np.arange(len(rows[b]))
)",
                                p.batch);
  const std::string indent(16, ' ');
  const auto line = [&](const std::string& text) { out += indent + text + "\n"; };
  if (group != 1)
    line(p.head_map == HeadMap::grouped
             ? fmt::format("K, V = (np.repeat(x, {}, 0) for x in (K, V))", group)
             : fmt::format("K, V = (np.tile(x, ({}, 1, 1)) for x in (K, V))", group));
  line(fmt::format("s = q[b, :, :new].astype(np.float64) @ K.swapaxes(1, 2) * {}",
                   text::number(p.scale_value())));
  if (p.softcap > 0) line(fmt::format("s = {0} * np.tanh(s / {0})", text::number(p.softcap)));
  line(fmt::format("s = np.where({}, s, -np.inf)", seen_text(c)));
  line("top = s.max(-1, keepdims=True, initial=-1e300)");
  if (p.sinks) line("top = np.maximum(top, sinks.astype(np.float64)[:, None, None])");
  line("p = np.exp(s - top)");
  line("total = p.sum(-1, keepdims=True)" +
       std::string(p.sinks ? " + np.exp(sinks.astype(np.float64)[:, None, None] - top)" : ""));
  line("p = p / np.where(total == 0, 1, total)");
  line("out[b, :, :new], allowed[b, :, :new] = p @ V, " + bound.text("V"));
  const std::string length = c.cache->kind == CacheKind::ring
                                 ? fmt::format("min(len(row), {})", c.cache->capacity)
                                 : "len(row)";
  return out + fmt::format(
                   "        answers.append((out, allowed, [{} for row in rows]))\n    return "
                   "answers\n\n",
                   length);
}

constexpr std::string_view kCompare = R"(np.seterr(all="ignore")
failed = False
for n, ((got, lengths), (want, allowed, right)) in enumerate(zip(target(), reference())):
    if list(lengths) != right:
        failed = print(f"step {n}: the cache holds {list(lengths)} tokens, should be {right}") is None
    if want is None:
        continue
    if got.shape != want.shape:
        sys.exit(f"step {n}: out has shape {got.shape}, should be {want.shape}")
    got = got.astype(np.float64)
    error = np.abs(got - want)
    wrong = ~((error <= allowed) | (got == want) | np.isinf(allowed))
    if wrong.any():
        far = np.where(wrong, np.where(np.isnan(error), np.inf, error / allowed), -1)
        at = tuple(int(x) for x in np.unravel_index(far.argmax(), far.shape))
        print(f"step {n}: out{list(at)} is {got[at]:.9g}, should be {want[at]:.9g} +- {allowed[at]:.2g}")
        print(f"step {n}: {wrong.sum()} of {wrong.size} elements are wrong")
        failed = True
if not failed:
    print("right: every element is within its bound")
sys.exit(failed)
)";

/// Whether reference() says what the case means.
bool is_in_reference(const Case& c) {
  const auto& rules = c.problem.mask.rules;
  return c.problem.memory_kv == 0 && c.data.nonfinite == NonFinite::none &&
         std::all_of(rules.begin(), rules.end(), [](const RuleUse& use) {
           return use.spec->name == "causal" || use.spec->name == "window";
         });
}

}  // namespace

Repro python_steps_repro(const Case& c, const TargetInfo& target, const PythonCall& call) {
  const bool told = std::all_of(c.steps.begin(), c.steps.end(),
                                [](const Step& step) { return step.op <= StepOp::reset; });
  if (!c.cached() || c.problem.recurrent() || !told || !python::has_dtype(c.problem.dtype) ||
      c.problem.rope != Rope::none || c.cache->quant != Quant::none ||
      c.cache->kind == CacheKind::cross || c.problem.outputs.size() > 1)
    return {};
  const Inputs inputs = make_inputs(c);
  const Precision precision = target.capabilities.precision_of(c.problem.dtype);
  std::string tensors;
  for (const Role role : {Role::sinks, Role::mem_k, Role::mem_v})
    if (const Tensor* tensor = inputs.find(name(role)))
      tensors += fmt::format("{} = {}\n", name(role), python::array(*tensor, c, role));
  tensors +=
      "# Tensors: [batch, heads, len, dim]; then how many tokens of each row are real.\nsteps = "
      "[\n";
  for (size_t s = 0; s < c.steps.size(); ++s) tensors += step_text(c, inputs, s);
  tensors += "]\n";
  if (const Answer right = answer(c, inputs, precision); python::is_short(right))
    return python::script(c, target, call, tensors, python::check_steps(c, right));
  if (!is_in_reference(c)) return {};
  const python::SimpleBound bound = python::simple_bound(c, inputs, precision);
  return python::script(c, target, call, tensors, reference(c, bound) + std::string(kCompare));
}

}  // namespace attnfuzz
