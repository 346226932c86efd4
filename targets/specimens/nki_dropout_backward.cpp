/// nki-dropout-backward: a backward pass that forgets which weights were dropped.
///
/// Where: flash_attn_bwd of aws-neuron/nki-samples.
///
/// Reported and fixed: https://github.com/aws-neuron/nki-samples/pull/81, August 2025 (related:
/// https://github.com/aws-neuron/aws-neuron-sdk/issues/1156).
///
/// What it did. With dropout, out = (P ∘ M) v, where M is 0 or 1/keep. The gradient in P is dP =
/// (grad_out vᵀ) ∘ M, and the softmax's gradient is made of P itself. The kernel used the weights
/// after dropout for P, and grad_out vᵀ without M for dP. Two mistakes, each of which alone would
/// show.
///
/// Symptom. No error; dv is right, dq and dk are not.
///
/// When. Dropout.
///
/// Fix. M on dP, P before dropout: algorithm 4 of the FlashAttention paper (Dao et al. 2022, B.4).
#include "targets/specimens/backward.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const Heads heads = heads_of(p, inputs);
  const Array weight = weights(p, inputs, heads), kept = dropout_factors(p, inputs, weight);
  const Array dropped = product(weight, kept);
  Array dq, dk, dv;
  if (p.asks_gradients()) {
    const Array g = heads_first(inputs.at("grad_out"), p.layout);
    const Array da = scores(g, heads.v, 1);
    const Array ds = form == Form::buggy ? softmax_gradient(dropped, da)
                                         : softmax_gradient(weight, product(da, kept));
    dq = scaled(weigh(ds, heads.k), p.scale_value());
    dk = sum_of_group(scaled(transposed_product(ds, heads.q), p.scale_value()), p);
    dv = sum_of_group(transposed_product(dropped, g), p);
  }
  steps.push_back(gradients_output(p, weigh(dropped, heads.v), dq, dk, dv));
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "longer_q", "scale",
               "rule:causal", "align:top_left", "dropout", "dq", "dk", "dv"],
  "equal": [["head_dim", "head_dim_v"]]
})";

}  // namespace

extern const Specimen nki_dropout_backward;
const Specimen nki_dropout_backward = {
    .name = "nki-dropout-backward",
    .about = "the backward pass takes the weights after dropout for P, and dP without dropout",
    .source = "nki-samples before August 2025",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
