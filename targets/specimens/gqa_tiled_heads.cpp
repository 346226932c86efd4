/// gqa-tiled-heads: KV heads repeated as a whole instead of each in its place.
///
/// Where: the ONNX standard's Attention operator (opsets 23 and 24): the function body in
/// onnx/defs/nn/defs.cc, which runtimes without a kernel of their own expand and run.
///
/// Reported, with a correction: https://github.com/onnx/onnx/pull/7274. The same slip, for one
/// commit, in axlearn: https://github.com/apple/axlearn/pull/842; and in jax-js:
/// https://github.com/ekzhang/jax-js/pull/180.
///
/// What it did. With fewer KV heads than query heads the keys and values are multiplied up to the
/// number of query heads. The function body did so with Tile, which puts whole copies behind each
/// other: KV heads 0 1 become 0 1 0 1. Models are trained with groups of neighbours
/// (torch.repeat_interleave): 0 0 1 1.
///
/// Symptom. No error; plausible but wrong output in every head whose group is not its own.
///
/// When. More than one KV head and fewer than query heads. With one KV head, or as many as query
/// heads, the two orders are the same, so tests of multi-query attention pass.
///
/// Fix. Repeat each head in its place.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const auto multiplied = form == Form::buggy ? torch_like::repeat : torch_like::repeat_interleave;
  const int64_t group = p.num_heads / p.num_kv_heads;
  const Array k = multiplied(heads_first(inputs.at("k"), p.layout), 1, group);
  const Array v = multiplied(heads_first(inputs.at("v"), p.layout), 1, group);
  const Array mask = additive(dense_mask_4d(p, inputs), minus_infinity);
  const Array out = attend(heads_first(inputs.at("q"), p.layout), k, v, mask, p.scale_value());
  steps.push_back({to_output(out, p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "longer_q", "head_dim_v",
               "scale", "rule:causal", "align:top_left", "rule:boolean", "boolean.shape:qk",
               "boolean.shape:bqk", "boolean.shape:hqk", "boolean.shape:bhqk", "fully_masked:zero"]
})";

}  // namespace

extern const Specimen gqa_tiled_heads;
const Specimen gqa_tiled_heads = {
    .name = "gqa-tiled-heads",
    .about = "KV heads are tiled over the query heads instead of repeated in groups",
    .source = "onnx 1.19",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
