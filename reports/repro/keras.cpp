#include <fmt/format.h>

#include "reports/repro/python.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {

/// keras.ops.dot_product_attention on the backend that the target's name has.
Repro keras_repro(const Case& c, const TargetInfo& target) {
  const Problem& p = c.problem;
  const std::string backend(repro::plain_name(target.name).substr(target.name.find(':') + 1));
  const bool causal =
      p.q_len == p.kv_len && repro::has(c, "causal") && repro::only(c, {"causal", "bias", "alibi"});
  const bool masked = !p.mask.rules.empty() && !causal && !repro::only(c, {"bias", "alibi"});
  const std::string shape =
      fmt::format("({}, {}, {}, {})", p.batch, p.num_heads, p.q_len, p.kv_len);
  std::string arguments = causal ? ", is_causal=True" : "";
  if (p.scale) arguments += ", scale=" + text::number(*p.scale);
  // The PyTorch backend takes a bias or a mask, not both.
  const bool folded = masked && p.mask.adds_bias() && backend == "torch";
  const std::string added = folded ? "np.where(mask, bias, -np.inf).astype(np.float32)" : "bias";
  if (p.mask.adds_bias()) arguments += fmt::format(", bias=full({})", added);
  if (masked && !folded) arguments += ", mask=full(mask)";
  return python_repro(
      c, target,
      {.standard = "import os\n",
       .imports = fmt::format("\nos.environ[\"KERAS_BACKEND\"] = \"{}\"\nimport keras\n", backend),
       .helpers = "",
       .body = fmt::format(
           "    full = lambda x: "
           "keras.ops.convert_to_tensor(np.ascontiguousarray(np.broadcast_to(x, {})))\n"
           "    Q, K, V = (keras.ops.convert_to_tensor(x.swapaxes(1, 2)) for x in (q, k, v))\n"
           "    out = keras.ops.dot_product_attention(Q, K, V{})\n"
           "    return keras.ops.convert_to_numpy(out).swapaxes(1, 2)\n",
           shape, arguments),
       .needs = backend == "numpy" ? "keras" : "keras, " + backend});
}

}  // namespace attnfuzz
