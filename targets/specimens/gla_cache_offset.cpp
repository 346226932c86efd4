/// gla-cache-offset: a cache that counts heads instead of tokens.
///
/// Where: flash-linear-attention before release 0.1, fla/layers/gla.py,
/// GatedLinearAttention.forward (and the same line in abc, delta_net, gated_deltanet, gsa, hgrn2,
/// multiscale_retention and simple_gla), at commit 659a08a3 and up to 81ec24f1's parent.
///
/// Reported: https://github.com/fla-org/flash-linear-attention/issues/126.
///
/// Fixed: commit 81ec24f1, 19 January 2025.
///
/// What the package did. The layer tells its cache how many tokens a forward pass brought:
/// past_key_values.update(…, offset=q.shape[2]). While q was head-first, [batch, heads, tokens,
/// dim], axis 2 was the tokens. The layers were then moved to the sequence-first layout, [batch,
/// tokens, heads, dim] ("b t (h d) -> b t h d"); the line stayed as it was, and axis 2 is now the
/// number of heads.
///
/// Symptom. get_seq_length() grows by num_heads at each step, whatever was fed: a prompt of 19
/// tokens in a model with 4 heads is reported as 4, and each decoded token adds 4 more. The
/// recurrent state of GLA itself does not depend on the count. What does: rotary positions of
/// hybrid layers, generate()'s own bookkeeping, and any cache that uses the count as the place to
/// write.
///
/// When. Sequence-first q, and a step whose q_len is not num_heads.
///
/// Fix. q.shape[1].
///
/// The rebuilding has a KV cache in place of the recurrent state. With a cache that grows the
/// output stays right and the reported length is wrong, as in the package. With a fixed buffer,
/// written at the count, the tokens after the first step land at the wrong place: heads > tokens
/// leaves a gap of zeros that is attended to, heads < tokens overwrites, and a place beyond the
/// buffer is an error. The case's layout chooses between the old, correct head-first q and the new
/// one.
#include "targets/specimens/attend.h"
#include "targets/specimens/kv_cache.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const size_t tokens_axis = p.layout == Layout::bhsd ? 2 : 1;
  const size_t offset_axis = form == Form::buggy ? 2 : tokens_axis;
  KvCache cache(*c.cache);
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const std::string step = std::to_string(s);
    const Tensor& q = inputs.at("q." + step);
    cache.update(heads_first(inputs.at("k." + step), p.layout),
                 heads_first(inputs.at("v." + step), p.layout), q.shape[offset_axis]);

    const Array mask = visible(q.shape[tokens_axis], cache.keys().size(2),
                               {.first_query = cache.first_of_last(), .causal = true});
    const Array out =
        attend(heads_first(q, p.layout), repeat_kv(cache.keys(), p), repeat_kv(cache.values(), p),
               additive(mask, lowest_score), p.scale_value());
    steps.push_back({to_output(out, p.layout),
                     std::vector<int64_t>(static_cast<size_t>(p.batch), cache.seen_tokens())});
  }
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 12],
            "kv_len": [1, 32], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 4],
            "capacity": [0, 32]},
  "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "rule:causal",
               "cache:dynamic", "cache:fixed", "step:prefill", "step:append", "step:decode"],
  "requires": [["dtype:f32", "rule:causal"]]
})";

}  // namespace

extern const Specimen gla_cache_offset;
const Specimen gla_cache_offset = {
    .name = "gla-cache-offset",
    .about = "the cache's token count grows by num_heads instead of q_len",
    .source = "flash-linear-attention 659a08a3",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
