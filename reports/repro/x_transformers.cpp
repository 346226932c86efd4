#include <fmt/format.h>

#include "reports/repro/python.h"
#include "reports/repro/python_script.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// What is not at its default.
std::string options(const Case& c, bool flash) {
  const Problem& p = c.problem;
  std::string out = fmt::format("dim=8, heads={}, dim_head={}", p.num_heads, p.head_dim);
  if (p.head_dim_v != p.head_dim) out += fmt::format(", value_dim_head={}", p.head_dim_v);
  if (p.num_kv_heads == 1 && p.num_heads > 1)
    out += ", one_kv_head=True";
  else if (p.num_kv_heads != p.num_heads)
    out += fmt::format(", kv_heads={}", p.num_kv_heads);
  if (p.memory_kv > 0) out += fmt::format(", num_mem_kv={}", p.memory_kv);
  if (repro::has(c, "causal")) out += ", causal=True";
  if (flash) out += ", flash=True";
  if (const RuleUse* window = p.mask.find("window"))
    out += fmt::format(", max_attend_past={}", window->integer(0));
  if (p.softcap > 0)
    out +=
        fmt::format(", softclamp_logits=True, logit_softclamp_value={}", text::number(p.softcap));
  if (p.sinks) out += ", head_learned_sink=True";
  return out;
}

/// The package maps query head h to KV head h % kv_heads: `order` says which of the case's query
/// heads goes in as each of its.
bool is_reordered(const Problem& p) {
  return p.head_map == HeadMap::grouped && p.num_kv_heads > 1 && p.num_heads != p.num_kv_heads;
}

/// The projections return what is known; out is read in front of to_out.
std::string layer_text(const Case& c, bool flash) {
  const Problem& p = c.problem;
  std::string out = fmt::format(
      "layer, seen = Attention({}).eval(), []\n"
      "layer.to_out.register_forward_pre_hook(lambda _, args: seen.append(args[0]))\n",
      options(c, flash));
  if (is_reordered(p))
    out +=
        fmt::format("order = np.arange({}).reshape({}, -1).T.ravel()  # head h uses k's h % {}\n",
                    p.num_heads, p.num_kv_heads, p.num_kv_heads);
  if (p.memory_kv > 0)
    out +=
        "for own, known in ((layer.mem_k, mem_k), (layer.mem_v, mem_v)):\n"
        "    own.data = torch.tensor(known) if own.shape == known.shape else own.data\n";
  if (p.sinks)
    out += fmt::format("layer.attend.head_attn_sink.data = torch.tensor(sinks){}\n",
                       is_reordered(p) ? "[order]" : "");
  return out;
}

/// One call on q, k, v.
std::string call_text(const Case& c, std::string_view call) {
  const Problem& p = c.problem;
  const bool reordered = is_reordered(p);
  return fmt::format(
      "for projection, x in ((layer.to_q, q{0}), (layer.to_k, k), (layer.to_v, v)):\n"
      "    projection.forward = lambda _, known=torch.tensor(x.swapaxes(1, "
      "2).reshape(*x.shape[::2], "
      "-1)): known\n"
      "with torch.inference_mode():\n"
      "    {1}\n"
      "return seen.pop().numpy().reshape({2}, -1, {3}, {4}).swapaxes(1, 2){5}\n",
      reordered ? "[:, order]" : "", call, p.batch, p.num_heads, p.head_dim_v,
      reordered ? "[:, np.argsort(order)]" : "");
}

std::string mask_arguments(const Case& c) {
  const Problem& p = c.problem;
  std::string more;
  const bool cross = p.q_len != p.kv_len;
  if (cross) more += fmt::format(", context=torch.zeros({}, {}, 8)", p.batch, p.kv_len);
  if (const RuleUse* padding = p.mask.find("padding"))
    more += fmt::format(", {}={}", cross ? "context_mask" : "mask",
                        repro::torch_padding(*padding, p.kv_len));
  if (repro::has(c, "boolean"))
    more +=
        fmt::format(", attn_mask=torch.tensor(np.broadcast_to(mask, ({}, {}, {}, {})){})", p.batch,
                    p.num_heads, p.q_len, p.kv_len, is_reordered(p) ? "[:, order]" : ".copy()");
  return more;
}

}  // namespace

Repro x_transformers_repro(const Case& c, const TargetInfo& target) {
  const bool flash = repro::plain_name(target.name).ends_with("-flash");
  const std::string imports = "import torch\nfrom x_transformers.x_transformers import Attention\n";
  const std::string hidden = "torch.zeros(*q.shape[::2], 8)";
  if (!c.cached())
    return python_repro(c, target,
                        {.standard = "",
                         .imports = imports,
                         .helpers = "",
                         .body = python::indented(
                             layer_text(c, flash) +
                             call_text(c, fmt::format("layer({}{})", hidden, mask_arguments(c)))),
                         .needs = "x-transformers"});
  return python_steps_repro(
      c, target,
      {.imports = imports,
       .setup = layer_text(c, flash) + "past = {}\n",
       .parameters = "q, k, v",
       .attend = python::indented(call_text(
           c, fmt::format("_, past[\"cache\"] = layer({}, return_intermediates=True, **past)",
                          hidden))),
       .lengths = fmt::format("[past[\"cache\"].cached_kv[0].shape[-2]] * {}", c.problem.batch),
       .reorder = "",
       .crop = "",
       .reset = "",
       .needs = "x-transformers"});
}

}  // namespace attnfuzz
