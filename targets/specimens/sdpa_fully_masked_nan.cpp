/// sdpa-fully-masked-nan: 0 / 0 where a query sees no key.
///
/// Where: PyTorch 2.0 to 2.4, torch.nn.functional.scaled_dot_product_attention with a boolean mask;
/// the same in MLX before https://github.com/ml-explore/mlx/pull/2608, OpenVINO before
/// https://github.com/openvinotoolkit/openvino/pull/36016, and many others.
///
/// Reported: https://github.com/pytorch/pytorch/issues/103963 and /issues/103749.
///
/// Fixed: PyTorch 2.5 gives zeros (_safe_softmax).
///
/// What the package did. A boolean mask became an additive one of 0 and −∞. The softmax of a row
/// that is −∞ throughout subtracts its maximum, −∞ − −∞, and divides by its sum: NaN in every
/// element. Rows like that are ordinary: the padded queries of a left-padded batch see nothing
/// under a causal mask. Their outputs are thrown away later, but NaN · 0 is NaN, and so is any
/// gradient through it.
///
/// Symptom. NaN in those rows; after another layer, everywhere.
///
/// When. A row without a visible key. All other rows are right.
///
/// Fix. Such a row gives zeros.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  const auto [q, k, v] = heads_of(p, inputs);
  const Array mask = additive(dense_mask_4d(p, inputs), minus_infinity);
  const Array s = sum(scores(q, k, p.scale_value()), mask);
  const Array weights = form == Form::buggy ? softmax(s) : safe_softmax(s);
  steps.push_back({to_output(weigh(weights, v), p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "longer_q", "head_dim_v",
               "rule:causal", "align:top_left", "align:bottom_right", "rule:padding",
               "padding.side:left", "padding.side:right", "scale", "rule:boolean",
               "boolean.shape:qk", "boolean.shape:bqk", "boolean.shape:hqk", "boolean.shape:bhqk",
               "fully_masked:zero"]
})";

}  // namespace

extern const Specimen sdpa_fully_masked_nan;
const Specimen sdpa_fully_masked_nan = {.name = "sdpa-fully-masked-nan",
                                        .about = "a row that sees no key is NaN",
                                        .source = "torch 2.4",
                                        .capabilities = capabilities,
                                        .run = run};

}  // namespace attnfuzz
