#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reports/repro/python.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// The projections are replaced by modules that return what is known; out is read in front of
/// to_out. The package maps query head h to key head h % kv_heads: `order` says which of the case's
/// query heads goes in as each of its.
constexpr std::string_view kHelpers =
    R"(class Known(torch.nn.Module):  # a projection whose result is known
    def forward(self, hidden):
        return self.value

def flat(x):
    return torch.tensor(x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1))

)";

std::string options(const Case& c, bool flash) {
  const Problem& p = c.problem;
  const RuleUse* window = p.mask.find("window");
  std::string out = fmt::format(
      "dim=8, heads={}, dim_head={}, value_dim_head={}, num_mem_kv={}, causal={}, flash={}",
      p.num_heads, p.head_dim, p.head_dim_v, p.memory_kv,
      repro::has(c, "causal") ? "True" : "False", flash ? "True" : "False");
  out += p.num_kv_heads == 1 && p.num_heads > 1 ? ", one_kv_head=True"
                                                : fmt::format(", kv_heads={}", p.num_kv_heads);
  if (window != nullptr) out += fmt::format(", max_attend_past={}", window->integer(0));
  if (p.softcap > 0)
    out +=
        fmt::format(", softclamp_logits=True, logit_softclamp_value={}", text::number(p.softcap));
  if (p.sinks) out += ", head_learned_sink=True";
  return out;
}

std::string layer_text(const Case& c, bool flash) {
  const Problem& p = c.problem;
  std::string out = fmt::format(
      "    layer = Attention({}).eval()\n"
      "    layer.to_q, layer.to_k, layer.to_v = Known(), Known(), Known()\n",
      options(c, flash));
  out += p.head_map == HeadMap::grouped
             ? fmt::format("    order = np.arange({}).reshape({}, -1).T.ravel()\n", p.num_heads,
                           p.num_kv_heads)
             : fmt::format("    order = np.arange({})\n", p.num_heads);
  if (p.memory_kv > 0)
    out +=
        "    for own, known in ((layer.mem_k, mem_k), (layer.mem_v, mem_v)):\n"
        "        if own.shape == known.shape:\n"
        "            own.data = torch.tensor(known)\n";
  if (p.sinks) out += "    layer.attend.head_attn_sink.data = torch.tensor(sinks)[order]\n";
  return out +
         "    seen = []\n"
         "    layer.to_out.register_forward_pre_hook(lambda _, args: "
         "seen.append(args[0].detach()))\n";
}

/// One call on q, k, v: `out` and `intermediates`.
std::string call_text(const Case& c, std::string_view indent, std::string_view more) {
  return fmt::format(
      "{0}for module, x in ((layer.to_q, q[:, order]), (layer.to_k, k), (layer.to_v, v)):\n"
      "{0}    module.value = flat(x)\n"
      "{0}with torch.inference_mode():\n"
      "{0}    _, intermediates = layer(torch.zeros(len(q), q.shape[2], 8), "
      "return_intermediates=True{1})\n"
      "{0}out = seen.pop().numpy().reshape(len(q), q.shape[2], {2}, -1).swapaxes(1, 2)[:, "
      "np.argsort(order)]\n",
      indent, more, c.problem.num_heads);
}

std::string mask_arguments(const Case& c) {
  const Problem& p = c.problem;
  std::string more;
  const bool cross = p.q_len != p.kv_len;
  if (cross) more += fmt::format(", context=torch.zeros({}, {}, 8)", p.batch, p.kv_len);
  if (const RuleUse* padding = p.mask.find("padding")) {
    const std::string lens =
        fmt::format("torch.tensor([{}])[:, None]", fmt::join(padding->list(1), ", "));
    const std::string slots = fmt::format("torch.arange({})", p.kv_len);
    more +=
        fmt::format(", {}={}", cross ? "context_mask" : "mask",
                    padding->integer(0) == 0 ? fmt::format("{} >= {} - {}", slots, p.kv_len, lens)
                                             : fmt::format("{} < {}", slots, lens));
  }
  if (repro::has(c, "boolean"))
    more +=
        fmt::format(", attn_mask=torch.tensor(np.broadcast_to(mask, ({}, {}, {}, {}))[:, order])",
                    p.batch, p.num_heads, p.q_len, p.kv_len);
  return more;
}

}  // namespace

Repro x_transformers_repro(const Case& c, const TargetInfo& target) {
  const bool flash = repro::plain_name(target.name).ends_with("-flash");
  PythonCall call{
      .standard = "",
      .imports = "import torch\nfrom x_transformers.x_transformers import Attention\n\n",
      .helpers = std::string(kHelpers),
      .body = layer_text(c, flash),
      .needs = "x-transformers"};
  if (!c.cached()) {
    call.body += call_text(c, "    ", mask_arguments(c)) + "    return out\n";
    return python_repro(c, target, call);
  }
  call.body += "    more = {}\n    for op, q, k, v, _ in steps:\n" +
               call_text(c, "        ", ", **more") +
               fmt::format(
                   "        more = {{\"cache\": intermediates}}\n"
                   "        yield out, [intermediates.cached_kv[0].shape[-2]] * {}\n",
                   c.problem.batch);
  return python_steps_repro(c, target, call);
}

}  // namespace attnfuzz
