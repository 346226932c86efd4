/// softcap-after-mask: a cap that lets hidden keys back in.
///
/// Where: the ONNX standard's Attention operator (opsets 23 and 24): its text, its function body in
/// onnx/defs/nn/defs.cc and its reference implementation in onnx/reference/ops/op_attention.py.
///
/// Reported: https://github.com/onnx/onnx/issues/7865, April 2026; the same order was corrected in
/// a draft of FlashAttention's softcap, https://github.com/Dao-AILab/flash-attention/pull/1025.
///
/// Fixed: https://github.com/onnx/onnx/pull/7867.
///
/// What it did. Soft capping (Gemma 2) bounds the scores: softcap · tanh(score / softcap). The
/// operator added the mask first and capped afterwards. A hidden key's score is −∞, and softcap ·
/// tanh(−∞) is −softcap: a finite score like another.
///
/// Symptom. No error. Hidden keys, padding and the future, get weight: next to nothing with the cap
/// of 50 that models use and ordinary scores, plainly visible with a small cap.
///
/// When. A softcap and a mask that hides something.
///
/// Fix. Scale, cap, then mask.
#include <cmath>

#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

Array capped(Array s, double softcap) {
  const auto cap = static_cast<float>(softcap);
  if (cap > 0)
    for (float& x : s.values) x = cap * std::tanh(x / cap);
  return s;
}

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const auto [q, k, v] = heads_of(p, inputs);
  const Array mask = additive(dense_mask_4d(p, inputs), minus_infinity);
  Array s = scores(q, k, p.scale_value());
  if (form == Form::buggy)
    s = capped(sum(s, mask), p.softcap);
  else
    s = sum(capped(s, p.softcap), mask);
  steps.push_back({to_output(weigh(safe_softmax(s), v), p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "longer_q", "softcap",
               "rule:causal", "align:top_left", "rule:padding", "padding.side:left",
               "padding.side:right", "fully_masked:zero"],
  "equal": [["head_dim", "head_dim_v"]]
})";

}  // namespace

extern const Specimen softcap_after_mask;
const Specimen softcap_after_mask = {
    .name = "softcap-after-mask",
    .about = "the cap is applied after the mask, so hidden keys get a finite score",
    .source = "onnx 1.19",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
