/// nsa-interleaved-dkdv and nsa-dq-value-size: two gradients that go by the wrong size.
///
/// Where: native_sparse_attention/ops/triton/flash_attention.py, flash_attention_varlen's backward.
///
/// Reported: https://github.com/XunhaoLai/native-sparse-attention-triton/issues/27, August 2026.
/// Not fixed there when it was read; the fix below is the issue's.
///
/// What they did.
/// - interleaved-dkdv: with interleaved heads, query head h belongs to KV head h mod num_kv_heads
/// and is
///   its (h / num_kv_heads)th. The kernel of dk and dv divided by the number of heads that share a
///   KV head instead, and so wrote to the slot (h mod group, h / group) of a buffer [num_kv_heads,
///   group] that was made with torch.empty and is then summed. Here what has no slot is left out,
///   and a slot that was not written holds 0, not whatever the memory held.
/// - dq-value-size: the kernel of dq read grad_out and v with head_dim as their last axis. Where
/// head_dim <
///   head_dim_v the rest of the channels was masked out of grad_out vᵀ. Σ P dP came from the
///   output, whole.
///
/// Symptom. No error: dk and dv wrong (out of bounds at worst), dq wrong; the forward pass is
/// right.
///
/// When. As many query heads to a KV head as KV heads there are: right; else wrong. head_dim <
/// head_dim_v.
///
/// Fix. The same split as in the forward kernel; the value's own size.
#include <algorithm>

#include "targets/specimens/backward.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

HeadSlot slot_by_share_count(const Problem& problem, int64_t h) {
  const int64_t group = problem.num_heads / problem.num_kv_heads;
  return {h % group, h / group};
}

/// P ∘ (dP − D) with D given.
Array score_gradient(const Array& p, const Array& dp, const Array& row_dots) {
  const Array difference =
      torch_like::elementwise(dp, row_dots, [](float x, float y) { return x - y; });
  return product(p, difference);
}

/// Σ grad_out · out of each row, [batch, heads, q_len, 1].
Array dots(const Array& g, const Array& out) {
  Array all({g.size(0), g.size(1), g.size(2), 1});
  const int64_t dim = g.size(3);
  for (size_t n = 0; n < g.values.size(); ++n)
    all.values[n / static_cast<size_t>(dim)] += g.values[n] * out.values[n];
  return all;
}

/// Which of the two mistakes.
enum class Mistake : uint8_t { slots, value_size };

template <Mistake mistake>
void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const bool buggy = form == Form::buggy;
  const Heads heads = heads_of(p, inputs);
  const Array weight = weights(p, inputs, heads), out = weigh(weight, heads.v);
  Array dq, dk, dv;
  if (p.asks_gradients()) {
    const Array g = heads_first(inputs.at("grad_out"), p.layout);
    const Array row_dots = dots(g, out), dp = scores(g, heads.v, 1);
    const Array ds = score_gradient(weight, dp, row_dots);
    const int64_t read =
        mistake == Mistake::value_size && buggy ? std::min(p.head_dim, p.head_dim_v) : p.head_dim_v;
    const Array dp_of_dq =
        scores(torch_like::slice(g, 3, 0, read), torch_like::slice(heads.v, 3, 0, read), 1);
    const auto slot_of = mistake == Mistake::slots && buggy && p.head_map == HeadMap::interleaved
                             ? slot_by_share_count
                             : head_slot;
    dq = scaled(weigh(score_gradient(weight, dp_of_dq, row_dots), heads.k), p.scale_value());
    dk = sum_of_group(scaled(transposed_product(ds, heads.q), p.scale_value()), p, slot_of);
    dv = sum_of_group(transposed_product(weight, g), p, slot_of);
  }
  steps.push_back(gradients_output(p, out, dq, dk, dv));
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "head_map:interleaved", "head_dim_v",
               "cross", "longer_q", "scale", "rule:causal", "align:top_left",
               "dq", "dk", "dv"]
})";

}  // namespace

extern const Specimen nsa_interleaved_dkdv, nsa_dq_value_size;
const Specimen nsa_interleaved_dkdv = {
    .name = "nsa-interleaved-dkdv",
    .about = "dk and dv of interleaved heads are written to slots that the share count gives",
    .source = "native-sparse-attention-triton, August 2026",
    .capabilities = capabilities,
    .run = run<Mistake::slots>};
const Specimen nsa_dq_value_size = {
    .name = "nsa-dq-value-size",
    .about = "dq is made of the first head_dim elements of v and grad_out",
    .source = "native-sparse-attention-triton, August 2026",
    .capabilities = capabilities,
    .run = run<Mistake::value_size>};

}  // namespace attnfuzz
