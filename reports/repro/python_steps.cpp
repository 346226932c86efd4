#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/repro/python_arrays.h"
#include "reports/repro/python_script.h"
#include "reports/repro/python_short.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// A step's expressions in a script.
struct StepText {
  std::string op, q, k, v, lens, rows, length;
  int64_t start = 0;  ///< how many tokens the cache holds before it
};

std::vector<StepText> step_texts(const Case& c, const Inputs& inputs, bool brief) {
  std::vector<StepText> texts;
  int64_t start = 0;
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const Step& step = c.steps[s];
    StepText& text = texts.emplace_back();
    text.op = name(step.op);
    text.start = start;
    text.rows = fmt::format("[{}]", fmt::join(step.rows, ", "));
    text.length = std::to_string(step.length);
    if (step.op == StepOp::crop) start = std::min(start, step.length);
    if (step.op == StepOp::reset) start = 0;
    if (!step.has_tokens()) continue;
    const auto array = [&](Role role) {
      const Tensor& tensor = inputs.at(fmt::format("{}.{}", name(role), s));
      return python::array(python::logical(tensor, c.problem.layout), c, role, static_cast<int>(s),
                           brief);
    };
    text.q = array(Role::q);
    text.k = array(Role::k);
    text.v = array(Role::v);
    std::vector<int64_t> lens = step.lens;
    if (lens.empty()) lens.assign(static_cast<size_t>(c.problem.batch), step.q_len);
    text.lens = fmt::format("[{}]", fmt::join(lens, ", "));
    start += step.q_len;
  }
  return texts;
}

/// A statement of the package's for a step that gives no output.
std::string statement(const PythonCache& cache, std::string_view op, std::string_view rows,
                      std::string_view length, std::string_view start) {
  const std::string& text = op == "reorder" ? cache.reorder
                            : op == "crop"  ? cache.crop
                                            : cache.reset;
  return fmt::format(fmt::runtime(text), fmt::arg("rows", rows), fmt::arg("length", length),
                     fmt::arg("start", start));
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
            q, k, v, lens, _ = given
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

/// def attend(), as the package has it.
std::string attend_text(const PythonCache& cache) {
  return fmt::format("\ndef attend({}):\n{}\n", cache.parameters, cache.attend);
}

/// What attend() is given in this step.
std::string arguments(const PythonCache& cache, const StepText& step) {
  std::string out = fmt::format("{}, {}, {}", step.q, step.k, step.v);
  if (cache.parameters.find("lens") != cache.parameters.npos) out += ", " + step.lens;
  if (cache.parameters.find("start") != cache.parameters.npos)
    out += fmt::format(", start={}", step.start);
  return out;
}

/// Each step in a line of its own: what is called, and the answer.
std::string written_out(const Case& c, const PythonCache& cache, const Inputs& inputs,
                        const Answer& right) {
  const std::vector<StepText> steps = step_texts(c, inputs, true);
  const bool all_attend = std::all_of(c.steps.begin(), c.steps.end(),
                                      [](const Step& step) { return step.has_tokens(); });
  std::string out =
      attend_text(cache) +
      fmt::format(
          "def check(step, out, right, want{0}, allowed{0}):\n"
          "    held = {1}\n"
          "    assert held == right, f\"step {{step}}: the cache holds {{held}} tokens, should "
          "be {{right}}\"\n",
          all_attend ? "" : "=None", cache.lengths);
  if (!all_attend) out += "    if out is None:\n        return\n";
  out += python::comparison(right, "    ", "step {step}: ");
  out +=
      "\n# q, k and v are [batch, heads, len, dim]; then the tokens in the cache, out and its "
      "largest error.\n";
  for (size_t n = 0; n < steps.size(); ++n) {
    const StepText& step = steps[n];
    const std::string lengths = fmt::format("[{}]", fmt::join(right.steps[n].lengths, ", "));
    if (c.steps[n].has_tokens())
      out += fmt::format("check({}, attend({}), {}, {})\n", n, arguments(cache, step), lengths,
                         python::expected(right.steps[n], c));
    else
      out +=
          fmt::format("{}\ncheck({}, None, {})\n",
                      statement(cache, step.op, step.rows, step.length, std::to_string(step.start)),
                      n, lengths);
  }
  return out + "print(\"right\")\n";
}

/// The steps as a list, which target() and reference() go through.
std::string looped(const Case& c, const PythonCache& cache, const Inputs& inputs,
                   const std::string& rest) {
  std::string list, branches;
  for (const StepText& step : step_texts(c, inputs, false)) {
    if (!step.q.empty()) {
      list += fmt::format("    (\"{}\",\n     {},\n     {},\n     {},\n     {}, {}),\n", step.op,
                          step.q, step.k, step.v, step.lens, step.start);
      continue;
    }
    list += fmt::format("    (\"{}\", {}, {}),\n", step.op,
                        step.op == "reorder" ? step.rows : step.length, step.start);
    const std::string branch =
        fmt::format("        elif op == \"{}\":\n            {}\n", step.op,
                    statement(cache, step.op, "given[0]", "given[0]", "given[1]"));
    if (branches.find(branch) == branches.npos) branches += branch;
  }
  return attend_text(cache) +
         fmt::format(
             "# Tensors: [batch, heads, len, dim]; then how many tokens of each row are real, and "
             "how "
             "many the cache holds.\nsteps = [\n{}]\n\ndef target():\n"
             "    for op, *given in steps:\n"
             "        out = None\n"
             "        if op in (\"prefill\", \"append\", \"decode\"):\n"
             "            q, k, v, lens, start = given\n"
             "            out = attend({})\n{}"
             "        yield out, {}\n\n",
             list, cache.parameters, branches, cache.lengths) +
         rest;
}

}  // namespace

Repro python_steps_repro(const Case& c, const TargetInfo& target, const PythonCache& cache) {
  const bool told = std::all_of(c.steps.begin(), c.steps.end(),
                                [](const Step& step) { return step.op <= StepOp::reset; });
  if (!c.cached() || c.problem.recurrent() || !told || !python::has_dtype(c.problem.dtype) ||
      c.problem.rope != Rope::none || c.cache->quant != Quant::none ||
      c.cache->kind == CacheKind::cross || c.problem.outputs.size() > 1)
    return {};
  if (!sample_of(c).empty()) return {};  // too long for a script that works out all rows
  const Inputs inputs = make_inputs(c);
  const Precision precision = target.capabilities.precision_of(c.problem.dtype);
  const Answer right = answer(c, inputs, precision);
  const bool is_short = python::is_short(right);
  if (!is_short && !is_in_reference(c)) return {};
  std::string setup;
  for (const Role role : {Role::sinks, Role::mem_k, Role::mem_v})
    if (const Tensor* tensor = inputs.find(name(role)))
      setup += fmt::format("{} = {}\n", name(role), python::array(*tensor, c, role, 0, is_short));
  setup += cache.setup;
  const std::string steps = is_short
                                ? written_out(c, cache, inputs, right)
                                : looped(c, cache, inputs,
                                         reference(c, python::simple_bound(c, inputs, precision)) +
                                             std::string(kCompare));
  return python::script(c, target, {"", cache.imports, cache.needs}, setup + steps);
}

}  // namespace attnfuzz
