/// llama4-flex-dynamic-cache: the capacity of a cache that has none.
///
/// Where: Hugging Face Transformers 4.51.0, models/llama4/modeling_llama4.py,
/// Llama4TextModel._update_causal_mask, with integrations/flex_attention.py,
/// make_flex_block_causal_mask.
///
/// Reported: https://github.com/huggingface/transformers/issues/37323 and /issues/37352.
///
/// Fixed: 4.51.1 (pull requests 37353, 37327): the cache's limit, or else the sequence's length;
/// and Llama 4 got a cache of its own with a limit.
///
/// What the package did. The flex path lengthens the padding mask by key_length columns with
/// torch.nn.functional.pad(mask, (0, key_length)), so that slots which later tokens will fill have
/// an entry. For the full-attention layers it took key_length from the cache's
/// get_max_cache_shape(), which is the capacity of a static cache. The cache that the model made by
/// default was a DynamicCache, which has no limit and says so with None.
///
/// Symptom. On the first forward pass of generate():
///   TypeError: "pad(): argument 'pad' failed to unpack the object at pos 2 with error "type must
///   be tuple of ints,but got NoneType"".
///
/// When. Every use of a dynamic cache; a static one works.
///
/// Fix. Where the cache has no limit the key length is that of the keys there are.
#include "targets/specimens/flex.h"
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

    std::optional<int64_t> key_length = cache.max_cache_shape();
    if (!key_length && form == Form::fixed) key_length = cache.keys().size(2);

    const BlockMask mask =
        make_flex_block_mask(Array({p.batch, cache.seen_tokens()}, 1), q.size(2), key_length,
                             {.first_query = cache.first_of_last(), .causal = is_causal(p)});
    const Array out = flex_attention(q, repeat_kv(cache.keys(), p), repeat_kv(cache.values(), p),
                                     mask, p.scale_value());
    steps.push_back({to_output(out, p.layout),
                     std::vector<int64_t>(static_cast<size_t>(p.batch), cache.seen_tokens())});
  }
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 12],
            "kv_len": [1, 32], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [1, 4],
            "capacity": [0, 32]},
  "equal": [["head_dim", "head_dim_v"]],
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal", "cache:dynamic",
               "cache:fixed", "step:prefill", "step:append", "step:decode"]
})";

}  // namespace

extern const Specimen llama4_flex_dynamic_cache;
const Specimen llama4_flex_dynamic_cache = {
    .name = "llama4-flex-dynamic-cache",
    .about = "Llama 4's flex mask is padded by the limit of a cache that has none",
    .source = "transformers 4.51.0",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
