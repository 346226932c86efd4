/// sdpa-causal-top-left: a decoded token that sees the first key alone.
///
/// Where: PyTorch, torch.nn.functional.scaled_dot_product_attention(is_causal=True), used with a KV
/// cache; the same in FlashAttention before 2.1 and flax's nnx.MultiHeadAttention.
///
/// Reported: https://github.com/pytorch/pytorch/issues/144858,
/// https://github.com/pytorch/pytorch/issues/108108,
/// https://github.com/Dao-AILab/flash-attention/issues/282,
/// https://github.com/google/flax/issues/5591.
///
/// Fixed: FlashAttention 2.1 aligns bottom right; PyTorch kept the meaning and offers
/// torch.nn.attention.bias.causal_lower_right.
///
/// What the package did. is_causal is a lower triangle that starts at the top left corner of
/// [q_len, kv_len]: query i sees keys 0 … i. With a cache the queries are the last tokens, and
/// kv_len counts all of them.
///
/// Symptom. No error. A decoded token attends to key 0 alone, so each step gives the same vector; a
/// chunk of new tokens attends to the first tokens of the history.
///
/// When. Any step after the first (kv_len > q_len). The prompt is right.
///
/// Fix. Query i stands at kv_len − q_len + i.
#include "targets/specimens/attend.h"
#include "targets/specimens/kv_cache.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  KvCache cache(*c.cache);
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const std::string step = std::to_string(s);
    const Array q = heads_first(inputs.at("q." + step), p.layout);
    const Array k = heads_first(inputs.at("k." + step), p.layout);
    cache.update(k, heads_first(inputs.at("v." + step), p.layout), k.size(2));

    const int64_t first_query = form == Form::buggy ? 0 : cache.keys().size(2) - q.size(2);
    const Array mask = visible(q.size(2), cache.keys().size(2),
                               {.first_query = first_query, .causal = is_causal(p)});
    const Array out = attend(q, repeat_kv(cache.keys(), p), repeat_kv(cache.values(), p),
                             additive(mask, minus_infinity), p.scale_value());
    steps.push_back({to_output(out, p.layout),
                     std::vector<int64_t>(static_cast<size_t>(p.batch), cache.seen_tokens())});
  }
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 12],
            "kv_len": [1, 32], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 6],
            "capacity": [0, 32]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "scale", "rule:causal",
               "cache:dynamic", "step:prefill", "step:append", "step:decode"]
})";

}  // namespace

extern const Specimen sdpa_causal_top_left;
const Specimen sdpa_causal_top_left = {
    .name = "sdpa-causal-top-left",
    .about = "is_causal is aligned top left while the queries are the last tokens",
    .source = "torch 2.2",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
