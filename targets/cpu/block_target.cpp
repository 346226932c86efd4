#include "targets/cpu/block_target.h"

#include <fmt/format.h>

namespace attnfuzz {

std::string block_capabilities(std::string_view sizes, std::string_view tiles) {
  return fmt::format(R"({{
    "sizes": {}, "tiles": {}, "max_rules": 4,
    "features": ["dtype:f32", "dtype:f64", "dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd",
      "gqa", "mqa", "cross", "longer_q", "head_dim_v", "scale", "softcap", "sinks", "memory_kv",
      "rule:causal", "rule:window", "rule:chunk", "chunk.origin:slot", "chunk.origin:token",
      "rule:prefix", "rule:documents", "rule:padding", "padding.side:left", "padding.side:right",
      "rule:boolean", "boolean.shape:qk", "boolean.shape:bqk", "boolean.shape:hqk",
      "boolean.shape:bhqk", "rule:bias", "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk",
      "bias.shape:bhqk", "rule:alibi", "align:top_left", "align:bottom_right", "head_map:grouped",
      "head_map:interleaved", "bias_order:after_softcap", "bias_order:before_softcap",
      "fully_masked:zero", "fully_masked:nan", "fully_masked:any", "empty", "data:normal",
      "data:large", "data:constant", "data:one_hot", "data:tiny", "nonfinite:nan_padding",
      "nonfinite:inf_padding"],
    "precision": {{"f32": {{"accumulate": "f32", "p": "f32", "exp_ulps": 2}},
                   "f16": {{"accumulate": "f32", "p": "f32", "exp_ulps": 2}},
                   "bf16": {{"accumulate": "f32", "p": "f32", "exp_ulps": 2}},
                   "f64": {{"accumulate": "f64", "p": "f64", "exp_ulps": 2}}}}
  }})",
                     sizes, tiles);
}

}  // namespace attnfuzz
