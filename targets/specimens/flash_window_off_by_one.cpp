/// flash-window-off-by-one: one key too many in the window.
///
/// Where: Hugging Face Transformers up to 4.55, modeling_flash_attention_utils.py; also Megatron
/// Bridge, ZML, MLX-LM and ONNX Runtime's GroupQueryAttention.
///
/// Reported: https://github.com/huggingface/transformers/issues/39408 and /issues/29623,
/// https://github.com/NVIDIA-NeMo/Megatron-Bridge/pull/2656,
/// https://github.com/microsoft/onnxruntime/pull/25927.
///
/// Fixed: 4.56, whose caller passes sliding_window − 1.
///
/// What the package did. A model's sliding_window of W means W keys, the query's own among them.
/// FlashAttention's window_size=(left, right) counts the keys before the query: i − left … i +
/// right. W was passed on as left, which makes W + 1 keys; the eager path had W.
///
/// Symptom. No error; outputs that differ a little from the eager path's once there are more than W
/// tokens.
///
/// When. A query with more keys before it than the window has room for.
///
/// Fix. left = W − 1. (A case's window rule has left = W − 1: the rebuilt caller makes W of it
/// first.)
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  Reach reach{.causal = is_causal(p)};
  if (const std::optional<int64_t> before = rule_integer(p, "window", "left")) {
    const int64_t sliding_window = *before + 1;
    reach.left = form == Form::buggy ? sliding_window : sliding_window - 1;
  }
  const auto [q, k, v] = heads_of(p, inputs);
  const Array mask = additive(visible(p.q_len, p.kv_len, reach), minus_infinity);
  steps.push_back({to_output(attend(q, k, v, mask, p.scale_value()), p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 16],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "equal": [["q_len", "kv_len"]],
  "features": ["dtype:f32", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale", "rule:causal",
               "rule:window"],
  "requires": [["rule:window", "rule:causal"]],
  "params": {"window.left": [0, 24], "window.right": [0, 0]}
})";

}  // namespace

extern const Specimen flash_window_off_by_one;
const Specimen flash_window_off_by_one = {
    .name = "flash-window-off-by-one",
    .about = "the window holds one key more than sliding_window says",
    .source = "transformers 4.55.0",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
