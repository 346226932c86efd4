/// llama4-chunked-flex: a block mask as long as a chunk for keys that are fewer.
///
/// Where: Hugging Face Transformers between 4.51.0 and 4.51.1 (main at commit 8bbcdf54, on which it
/// was reported), models/llama4/modeling_llama4.py, Llama4TextModel._update_causal_mask, on the
/// flex_attention path, with PyTorch 2.6.0.
///
/// Reported: https://github.com/huggingface/transformers/issues/37351.
///
/// Fixed: 4.51.1 for calls without a cache (pull request 37353).
///
/// What the package did. FlexAttention wants a block mask made for the very lengths that it is used
/// with. For the chunked layers the model worked out how many keys a layer can ever see: if the
/// first position is past the first chunk, attention_chunk_size + q_len − 1; if the new tokens
/// cross the chunk's end, as many as there are tokens; else attention_chunk_size. The last is what
/// a static cache of one chunk holds, whether filled or not. Called without a cache, or with one
/// that grows, the keys are just the tokens there are.
///
/// Symptom. Two rows of eight tokens and Llama 4's chunks of 8192:
///   "block_mask was created for block_mask.shape=(2, 1, 8, 8192) but got q_len=8 and kv_len=8. As
///   the block mask was created for a larger length than you're using it for, you can either …".
///
/// When. Fewer tokens than a chunk, which for chunks of 8192 is nearly every prompt. From a chunk's
/// length on the two computations agree and the result is right.
///
/// Fix. Without a cache the mask's key length is the keys' own. (In 4.51.0 itself the block mask
/// was made for batch 1, which the same series of fixes made the true batch.)
#include <algorithm>

#include "targets/specimens/flex.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const std::optional<int64_t> chunk = rule_integer(p, "chunk", "size");

  int64_t key_length = p.kv_len;
  if (chunk && form == Form::buggy) key_length = std::max(p.q_len, *chunk);

  const BlockMask mask = make_flex_block_mask(attention_mask_2d(p), p.q_len, key_length,
                                              {.causal = is_causal(p), .chunk = chunk});
  const auto [q, k, v] = heads_of(p, inputs);
  const Array out = flex_attention(q, k, v, mask, p.scale_value());
  steps.push_back({to_output(out, p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 5], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 24],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "equal": [["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal", "rule:chunk",
               "chunk.origin:slot"],
  "requires": [["rule:chunk", "rule:causal"]],
  "params": {"chunk.size": [1, 8192]}
})";

}  // namespace

extern const Specimen llama4_chunked_flex;
const Specimen llama4_chunked_flex = {
    .name = "llama4-chunked-flex",
    .about = "Llama 4's flex block mask is made for a whole chunk of keys where fewer are there",
    .source = "transformers 8bbcdf54",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
