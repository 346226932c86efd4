#include <fmt/format.h>

#include <algorithm>

#include "reports/repro/python.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

struct Backend {
  std::string_view target, name;
};
constexpr Backend kBackends[] = {{"torch:sdpa-math", "MATH"},
                                 {"torch:sdpa-flash", "FLASH_ATTENTION"}};

/// What asks for gradients, after the call, and returns them.
std::string backward_lines(const Case& c) {
  struct Row {
    Output output;
    char tensor;
  };
  constexpr Row rows[] = {
      {Output::dq, 'Q'}, {Output::dk, 'K'}, {Output::dv, 'V'}, {Output::dbias, 'M'}};
  std::string text =
      "    out.backward(torch.tensor(grad_out).to(out.dtype))\n"
      "    found = {\"out\": out.detach()";
  for (const Row& row : rows)
    if (c.problem.asks(row.output))
      text += fmt::format(", \"{}\": {}.grad", name(row.output), row.tensor);
  return text + "}\n    return {name: x.double().numpy() for name, x in found.items()}\n";
}

/// The mask in the arguments' terms: as the adapter does, is_causal where it can say all of it.
std::string mask_argument(const Case& c) {
  const Problem& p = c.problem;
  if (p.mask.rules.empty()) return "";
  if (p.asks(Output::dbias)) return ", attn_mask=M";
  if (p.mask.adds_bias())
    return ", attn_mask=torch.tensor(np.where(mask, bias, -np.inf)).to(Q.dtype)";
  const bool only_causal = repro::only(c, {"causal"});
  const bool aligned = p.q_len == p.kv_len || p.mask.align == Align::top_left;
  return only_causal && aligned ? ", is_causal=True" : ", attn_mask=torch.tensor(mask)";
}

}  // namespace

Repro torch_repro(const Case& c, const TargetInfo& target) {
  const auto* backend =
      std::find_if(std::begin(kBackends), std::end(kBackends),
                   [&](const Backend& b) { return b.target == repro::plain_name(target.name); });
  if (backend == std::end(kBackends)) return {};
  const Problem& p = c.problem;
  std::string arguments;
  if (p.scale) arguments += ", scale=" + text::number(*p.scale);
  if (p.num_heads != p.num_kv_heads) arguments += ", enable_gqa=True";
  arguments += mask_argument(c);
  std::string body = "    Q, K, V = (torch.tensor(x) for x in (q, k, v))\n";
  if (p.dtype == DType::bf16)
    body = "    Q, K, V = (torch.tensor(x).to(torch.bfloat16) for x in (q, k, v))\n";
  if (p.layout == Layout::bshd)
    body += "    Q, K, V = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (Q, K, V))\n";
  const bool backward = p.asks_gradients();
  if (p.asks(Output::dbias))
    body += fmt::format(
        "    M = np.broadcast_to(np.where(mask, bias, -np.inf), ({}, {}, {}, {})).copy()\n"
        "    M = torch.tensor(M).to(Q.dtype).requires_grad_()\n",
        p.batch, p.num_heads, p.q_len, p.kv_len);
  if (backward) body += "    Q, K, V = (x.requires_grad_() for x in (Q, K, V))\n";
  body += fmt::format(
      "    with torch.inference_mode({}), sdpa_kernel([SDPBackend.{}]):\n"
      "        out = torch.nn.functional.scaled_dot_product_attention(Q, K, V{})\n",
      backward ? "False" : "", backend->name, arguments);
  body += backward ? backward_lines(c) : "    return out.double().numpy()\n";
  return python_repro(c, target,
                      {.standard = "",
                       .imports = "import torch\nfrom torch.nn.attention import SDPBackend, "
                                  "sdpa_kernel\n\ntorch.set_num_threads(1)\n",
                       .helpers = "",
                       .body = body,
                       .needs = "torch",
                       .gives_gradients = true});
}

}  // namespace attnfuzz
