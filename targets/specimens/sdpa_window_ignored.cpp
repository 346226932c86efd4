/// sdpa-window-ignored: a sliding window that is configured, warned about and left out.
///
/// Where: Hugging Face Transformers, models/qwen2/modeling_qwen2.py with attn_implementation="sdpa"
/// (the default), as used by LLaMA-Factory: 4.37 to 4.40 made the eager path's mask with the window
/// and sdpa's without; 4.42 to 4.45 and 4.48 made none with it. The releases between (4.46, 4.47)
/// and from 4.49 on do fold it in, under the same warning.
///
/// Reported: https://github.com/hiyouga/LlamaFactory/issues/7063 and /issues/7096, and in the
/// issues of many projects on top of Qwen2.
///
/// Fixed: as a work-around `flash_attn: fa2`; in the package, a mask that has the window.
///
/// What the package did. PyTorch's scaled_dot_product_attention has no window parameter; a window
/// must be in the mask. The decoder layer's constructor compared the configuration with the chosen
/// implementation and logged "Sliding Window Attention is enabled but not implemented for `sdpa`;
/// unexpected results may be encountered.", and the model then built the causal and padding mask
/// alone. (The warning's condition was not the mask's, hence it is also seen where all is well.)
///
/// Symptom. A warning; then outputs that equal those without a window. No error.
///
/// When. More keys than the window holds: some query has a key that is causal and beyond its reach.
///
/// Fix. The window is ANDed into the mask given to sdpa.
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void run(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = c.problem;
  Reach reach{.causal = is_causal(p)};
  if (form == Form::fixed) reach.left = rule_integer(p, "window", "left");

  const Array mask = both(visible(p.q_len, p.kv_len, reach), attention_mask_4d(p));
  const auto [q, k, v] = heads_of(p, inputs);
  const Array out = attend(q, k, v, additive(mask, lowest_score), p.scale_value());
  steps.push_back({to_output(out, p.layout), {}});
}

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 24],
            "kv_len": [1, 24], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "equal": [["q_len", "kv_len"]],
  "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "rule:causal",
               "rule:window", "rule:padding", "padding.side:left", "padding.side:right",
               "fully_masked:uniform"],
  "requires": [["rule:window", "rule:causal"]],
  "params": {"window.left": [0, 24], "window.right": [0, 0]}
})";

}  // namespace

extern const Specimen sdpa_window_ignored;
const Specimen sdpa_window_ignored = {
    .name = "sdpa-window-ignored",
    .about = "a sliding window is configured and the sdpa path's mask is causal only",
    .source = "transformers 4.48.0",
    .capabilities = capabilities,
    .run = run};

}  // namespace attnfuzz
