#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reports/repro/python.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// The mask in the arguments' words where they can say all of it, as the adapter does.
std::string mask_arguments(const Case& c) {
  const Problem& p = c.problem;
  if (p.mask.rules.empty()) return "";
  const RuleUse *window = p.mask.find("window"), *padding = p.mask.find("padding");
  if (p.q_len == p.kv_len && repro::only(c, {"causal", "window", "bias"})) {
    std::string said = repro::has(c, "causal") ? ", is_causal=True" : "";
    if (window != nullptr)
      said += fmt::format(", local_window_size=({}, {})", window->integer(0), window->integer(1));
    return said;
  }
  const bool right = padding != nullptr && padding->integer(0) == 1;
  if (right && repro::only(c, {"padding", "bias"}))
    return fmt::format(", key_value_seq_lengths=np.array([{}], np.int32)",
                       fmt::join(padding->list(1), ", "));
  return ", mask=mask";
}

}  // namespace

Repro jax_repro(const Case& c, const TargetInfo& target) {
  const std::string type = c.problem.dtype == DType::bf16 ? ", jnp.bfloat16" : "";
  std::string arguments = mask_arguments(c);
  if (c.problem.mask.adds_bias()) arguments += fmt::format(", bias=jnp.asarray(bias{})", type);
  if (c.problem.scale) arguments += ", scale=" + text::number(*c.problem.scale);
  return python_repro(
      c, target,
      {.standard = "",
       .imports = "import jax\nimport jax.numpy as jnp\n",
       .helpers = "",
       .body =
           fmt::format("    Q, K, V = (jnp.asarray(x.swapaxes(1, 2){}) for x in (q, k, v))\n"
                       "    out = jax.nn.dot_product_attention(Q, K, V, implementation=\"xla\"{})\n"
                       "    return np.asarray(out, np.float64).swapaxes(1, 2)\n",
                       type, arguments),
       .needs = "jax"});
}

}  // namespace attnfuzz
