#pragma once
#include <string_view>

namespace attnfuzz {

/// What every target made of Blocks claims, as JSON: features (strings of a list), and the
/// precision.
inline constexpr std::string_view block_features = R"("dtype:f32", "dtype:f64", "dtype:f16",
  "dtype:bf16", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale", "softcap", "rope:half", "rope:interleaved",
  "sinks", "memory_kv", "rule:causal", "rule:window", "rule:chunk", "chunk.origin:slot",
  "chunk.origin:token", "rule:prefix", "rule:alibi", "head_map:grouped", "head_map:interleaved",
  "bias_order:after_softcap", "bias_order:before_softcap", "empty", "data:normal", "data:large",
  "data:constant", "data:one_hot", "data:tiny", "data:huge", "nonfinite:nan_padding", "nonfinite:inf_padding")";

inline constexpr std::string_view block_precision = R"({
  "f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
  "f16": {"accumulate": "f32", "p": "f32", "exp_ulps": 2, "rope": "f16"},
  "bf16": {"accumulate": "f32", "p": "f32", "exp_ulps": 2, "rope": "bf16"},
  "f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}})";

}  // namespace attnfuzz
