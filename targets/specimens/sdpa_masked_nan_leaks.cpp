/// sdpa-masked-nan-leaks: what is hidden still counts if it is not a number.
///
/// Where: PyTorch, torch.nn.functional.scaled_dot_product_attention, the math path (2.0 and later).
///
/// Reported: https://github.com/pytorch/pytorch/issues/101967.
///
/// Fixed: not in the operator; callers clear padded slots.
///
/// What the package did. Hiding is arithmetic: −∞ is added to the score, and the resulting weight,
/// 0, multiplies the value. NaN − ∞ is NaN, and 0 · NaN and 0 · ∞ are NaN too. So a hidden slot's
/// content does not matter as long as it is finite. Padded slots of a batch, or the unused end of a
/// cache's buffer made with torch.empty, hold whatever was there.
///
/// Symptom. NaN in every row of the batch entry, though the mask hides the slot from each.
///
/// When. A key or value that is not finite in a slot that the mask hides.
///
/// Fix. Clear what is hidden from all queries before using it.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

/// x with zeros in the slots of [batch, kv_len] that are padding.
Array cleared(Array x, const Array& real) {
  const int64_t kv_len = x.size(2), dim = x.size(3), row = x.size(1) * kv_len;
  for (size_t i = 0; i < x.values.size(); ++i) {
    const int64_t slot = static_cast<int64_t>(i) / dim;
    if (real.values[static_cast<size_t>(slot / row * kv_len + slot % kv_len)] == 0) x.values[i] = 0;
  }
  return x;
}

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  auto [q, k, v] = heads_of(p, inputs);
  if (form == Form::fixed) {
    k = cleared(std::move(k), attention_mask_2d(p));
    v = cleared(std::move(v), attention_mask_2d(p));
  }
  const Array mask = additive(dense_mask_4d(p, inputs), minus_infinity);
  steps.push_back({to_output(attend(q, k, v, mask, p.scale_value()), p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "longer_q", "head_dim_v",
               "rule:causal", "align:top_left", "rule:padding", "padding.side:left",
               "padding.side:right", "fully_masked:zero", "nonfinite:nan_padding",
               "nonfinite:inf_padding"],
  "requires": [["nonfinite:nan_padding", "rule:padding"], ["nonfinite:inf_padding", "rule:padding"]]
})";

}  // namespace

extern const Specimen sdpa_masked_nan_leaks;
const Specimen sdpa_masked_nan_leaks = {
    .name = "sdpa-masked-nan-leaks",
    .about = "NaN in a slot that the mask hides reaches the output",
    .source = "torch 2.0",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
