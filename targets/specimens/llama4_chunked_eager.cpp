/// llama4-chunked-eager: a chunk mask whose padding is laid on the wrong axis.
///
/// Where: Hugging Face Transformers 4.51.0 and 4.51.1, models/llama4/modeling_llama4.py,
/// Llama4TextModel._update_causal_mask, on the eager and the sdpa path.
///
/// Reported: https://github.com/huggingface/transformers/issues/37351 and /issues/37322.
///
/// Fixed: 4.51.2.
///
/// What the package did. Llama 4 has layers with full attention and layers with "chunked"
/// attention, in which a token sees only the earlier tokens of its own chunk of
/// attention_chunk_size. The model makes two masks: the ordinary one, which starts as [q_len,
/// kv_len], is expanded to [batch, 1, q_len, kv_len], and then takes in the tokenizer's padding
/// mask [batch, kv_len] seen as [batch, 1, 1, kv_len]; and, when the sequence is longer than a
/// chunk, the chunk mask, which is also [q_len, kv_len]. To this second one the padding mask was
/// ANDed as it was, two-dimensional. Broadcasting aligns axes from the right, so [q_len, kv_len] &
/// [batch, kv_len] pairs each batch row with a query.
///
/// Symptom. Two rows of eight tokens, chunks of four:
///   "The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0".
/// Tensor a is the chunk mask (8 = q_len), tensor b the padding mask (2 = batch). The text names
/// neither, which is why the reports speak of "a shape off by a factor of 2 or 4".
///
/// When. batch > 1 and more tokens than a chunk. With batch 1 the padding mask broadcasts and the
/// result is right, so single prompts worked. With batch == q_len there is no error at all: the
/// sizes fit, and query i is masked by the padding of batch row i, silently. With no more tokens
/// than a chunk no chunk mask is made.
///
/// Fix. Put the axes of heads and queries into the padding mask before the AND ([batch, 1, 1,
/// kv_len]), and expand the chunk mask to the batch first, as the ordinary mask always did.
///
/// Not rebuilt here. On the eager path the next line made the mask additive by filling with the
/// lowest float where it was set, so upside down, and refused to do so for integer padding masks
/// ("masked_fill_ only supports boolean masks, but got mask with dtype long int"). This error hid
/// it for batch > 1. The sdpa path is as rebuilt: right for batch 1.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  std::optional<int64_t> chunk = rule_integer(p, "chunk", "size");
  if (chunk && p.kv_len <= *chunk) chunk.reset();

  Array mask = visible(p.q_len, p.kv_len, {.causal = is_causal(p), .chunk = chunk});
  if (chunk && form == Form::buggy)
    mask = both(mask, attention_mask_2d(p));
  else
    mask = both(mask, attention_mask_4d(p));

  const auto [q, k, v] = heads_of(p, inputs);
  const Array out = attend(q, k, v, additive(std::move(mask), lowest_score), p.scale_value());
  steps.push_back({to_output(out, p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 5], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 24],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "equal": [["q_len", "kv_len"], ["head_dim", "head_dim_v"]],
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "rule:causal", "rule:chunk",
               "chunk.origin:slot", "rule:padding", "padding.side:left", "padding.side:right",
               "fully_masked:uniform"],
  "requires": [["rule:chunk", "rule:causal"]],
  "params": {"chunk.size": [1, 24]}
})";

}  // namespace

extern const Specimen llama4_chunked_eager;
const Specimen llama4_chunked_eager = {
    .name = "llama4-chunked-eager",
    .about = "Llama 4's chunk mask takes the padding mask on the queries' axis",
    .source = "transformers 4.51.0",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
