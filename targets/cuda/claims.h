#pragma once

/// What the targets in this folder claim, the same on a device and emulated. Tensor cores cut off
/// what they sum: "truncates".
namespace attnfuzz::cuda {

/// What the flash kernel has in every type, to the end of its claims.
#define ATTNFUZZ_FLASH_FEATURES                                                      \
  R"("layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale", "softcap",)" \
  R"("sinks", "rule:causal", "rule:window", "rule:chunk", "chunk.origin:slot",)"     \
  R"("fully_masked:zero", "fully_masked:nan", "fully_masked:any", "data:normal",)"   \
  R"("data:large", "data:constant", "data:one_hot", "nonfinite:nan_padding",)"       \
  R"("nonfinite:inf_padding", "cross", "longer_q", "align:top_left",)"               \
  R"("align:bottom_right", "chunk.origin:token", "rule:prefix", "rule:documents",)"  \
  R"("rule:padding", "padding.side:left", "padding.side:right", "empty"]})"

inline constexpr const char* flash_claims = R"({
  "sizes": {"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 2048],
            "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256]},
  "tiles": {"q_len": [32], "kv_len": [32], "head_dim": [16], "head_dim_v": [16]}, "max_rules": 4,
  "properties": ["deterministic", "batch_invariant"],
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f16": {"accumulate": "f32", "p": "f16", "exp_ulps": 2, "truncates": true},
                "bf16": {"accumulate": "f32", "p": "bf16", "exp_ulps": 2, "truncates": true}},
  "features": ["dtype:f32", "dtype:f16", "dtype:bf16", "data:tiny", "lse", )" ATTNFUZZ_FLASH_FEATURES;

inline constexpr const char* flash_f64_claims = R"({
  "sizes": {"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 2048],
            "kv_len": [0, 2048], "head_dim": [1, 128], "head_dim_v": [1, 128]},
  "tiles": {"q_len": [32], "kv_len": [32], "head_dim": [16], "head_dim_v": [16]}, "max_rules": 4,
  "properties": ["deterministic", "batch_invariant"],
  "precision": {"f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}},
  "features": ["dtype:f64", )" ATTNFUZZ_FLASH_FEATURES;

#undef ATTNFUZZ_FLASH_FEATURES

inline constexpr const char* paged_claims = R"({
  "sizes": {"batch": [1, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 256],
            "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256], "steps": [1, 64],
            "capacity": [1, 2048], "page_size": [1, 256]},
  "tiles": {"kv_len": [32], "page_size": [16]}, "max_rules": 3,
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f16": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "bf16": {"accumulate": "f32", "p": "f32", "exp_ulps": 2}},
  "features": ["dtype:f32", "dtype:f16", "dtype:bf16", "data:tiny", "lse",
    "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale", "softcap",
    "sinks", "rule:causal", "rule:window", "rule:chunk", "chunk.origin:slot", "data:normal",
    "data:large", "data:constant", "data:one_hot", "nonfinite:nan_padding", "nonfinite:inf_padding",
    "cache:paged", "step:prefill", "step:append", "step:decode", "step:reorder", "step:crop",
    "step:reset", "step:fork", "ragged", "ragged_left"]
})";

}  // namespace attnfuzz::cuda
