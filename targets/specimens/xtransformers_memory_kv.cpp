/// xtransformers-memory-kv-one-head and xtransformers-memory-kv-one-head-flash: learned memory keys
/// with a head for each query head, where the layer has a single KV head.
///
/// Where: lucidrains' x-transformers, x_transformers.py (class Attention) and attend.py (class
/// Attend). Plain path: 1.27.7 and earlier. Flash path (attn_flash=True): also 1.27.8.
///
/// Reported: https://github.com/lucidrains/x-transformers/issues/228, 16 January 2024.
///
/// Fixed: 1.27.8 (commit 029ec31) the first half, 1.27.9 (commit b297919) the second.
///
/// What the package did. attn_num_mem_kv adds learned keys and values before those of the input
/// (parameters mem_k and mem_v); attn_one_kv_head makes one key and value head serve all query
/// heads (multi-query attention). The parameters were made with `heads` rows, whatever the number
/// of KV heads.
///
/// Symptom, plain. mem_k becomes [batch, heads, num_mem_kv, dim]; the keys are [batch, 1, kv_len,
/// dim]; concatenating them over the tokens, with 4 heads:
///   "Sizes of tensors must match except in dimension 2. Expected size 4 but got size 1 for tensor
///   number 1 in the list."
///
/// Symptom, flash, once the parameters had kv_heads rows. For one KV head the flash path dropped
/// the head axis, put it back with size 1, and then expanded k and v as q: not to q's heads but to
/// q's whole shape, whose length is q_len. With 3 memory keys and 5 tokens:
///   "The expanded size of the tensor (5) must match the existing size (8) at non-singleton
///   dimension
///   2.  Target sizes: [2, 4, 5, 8].  Tensor sizes: [2, 1, 8, 8]".
///
/// When. Plain: memory and fewer KV heads than query heads (grouped ones too: attn_kv_heads).
/// Flash: one KV head and a number of keys, memory included, that is not q_len; so also one key
/// head in cross attention without any memory.
///
/// Fix. Parameters with kv_heads rows; then k and v repeated over q's heads and nothing else.
///
/// Query head h is served by KV head h % num_kv_heads ("(r kvh)"), and the causal mask is aligned
/// bottom right: both as in the package.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

/// The layer of one release.
struct Release {
  bool memory_has_query_heads;  ///< up to 1.27.7
  bool expands_as_q;            ///< on the flash path, up to 1.27.8
};

/// A memory parameter [heads, memory_kv, dim], repeated over the batch. Where `heads` is not the
/// case's number of KV heads, KV head h % num_kv_heads gives row h its numbers.
Array memory(const Tensor& given, int64_t heads, int64_t batch) {
  Array parameter = torch_like::unsqueeze(heads_first(given, Layout::bhsd), 0);
  if (heads != parameter.size(1))
    parameter = torch_like::repeat(parameter, 1, heads / parameter.size(1));
  return torch_like::expand(parameter, {batch, heads, parameter.size(2), parameter.size(3)});
}

void run_layer(const Release& release, const Case& c, const Inputs& inputs,
               std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const Array q = heads_first(inputs.at("q"), p.layout);
  Array k = heads_first(inputs.at("k"), p.layout), v = heads_first(inputs.at("v"), p.layout);
  if (p.memory_kv > 0) {
    const int64_t heads = release.memory_has_query_heads ? p.num_heads : p.num_kv_heads;
    k = torch_like::cat({memory(inputs.at("mem_k"), heads, p.batch), k}, 2);
    v = torch_like::cat({memory(inputs.at("mem_v"), heads, p.batch), v}, 2);
  }
  const bool one_head = p.num_kv_heads == 1;
  k = one_head && release.expands_as_q ? torch_like::expand(k, q.shape) : repeat_kv(k, p);
  v = one_head && release.expands_as_q ? torch_like::expand(v, q.shape) : repeat_kv(v, p);

  const Array mask =
      visible(p.q_len, k.size(2), {.first_query = k.size(2) - p.q_len, .causal = is_causal(p)});
  const Array out = attend(q, k, v, additive(mask, lowest_score), p.scale_value());
  steps.push_back({to_output(out, p.layout), {}});
}

void run_plain(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  run_layer({.memory_has_query_heads = form == Form::buggy, .expands_as_q = false}, c, inputs,
            steps);
}

void run_flash(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  run_layer({.memory_has_query_heads = false, .expands_as_q = form == Form::buggy}, c, inputs,
            steps);
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16], "memory_kv": [0, 8]},
  "equal": [["head_dim", "head_dim_v"]],
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_map:interleaved", "cross",
               "memory_kv", "rule:causal", "align:bottom_right"],
  "requires": [["gqa", "head_map:interleaved"]]
})";

}  // namespace

extern const Specimen xtransformers_memory_kv, xtransformers_memory_kv_flash;
const Specimen xtransformers_memory_kv = {
    .name = "xtransformers-memory-kv-one-head",
    .about = "memory keys are made for all query heads where there is one KV head",
    .source = "x-transformers 1.27.7",
    .capabilities = capabilities,
    .run = run_plain};
const Specimen xtransformers_memory_kv_flash = {
    .name = "xtransformers-memory-kv-one-head-flash",
    .about = "one KV head is expanded to the shape of q, its length included",
    .source = "x-transformers 1.27.8",
    .capabilities = capabilities,
    .run = run_flash};

}  // namespace attnfuzz
