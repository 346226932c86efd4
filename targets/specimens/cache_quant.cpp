/// Quantised caches and their scales.
///
/// quant-scale-of-first-head. sgl-kernel-xpu:
/// https://github.com/sgl-project/sgl-kernel-xpu/pull/252. The kernel reads one scale where each
/// KV head has its own.
///
/// quant-scales-ignored. FlashInfer, BatchPrefillWithRaggedKVCacheWrapper:
/// https://github.com/flashinfer-ai/flashinfer/issues/4979. A prefill does not apply the scales
/// that decoding applies.
///
/// quant-reorder-skipped. Transformers, QuantizedLayer.reorder_cache:
/// https://github.com/huggingface/transformers/pull/48700. Beam search reorders what is not
/// quantised yet, and leaves the quantised tokens where they are.
#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class ScaleOfFirstHead : public TokenCache {
  using TokenCache::TokenCache;
  float scale_of(const std::vector<float>& scales, size_t g, const Step&) const override {
    return scales[buggy() ? 0 : g];
  }
};

class ScalesIgnored : public TokenCache {
  using TokenCache::TokenCache;
  float scale_of(const std::vector<float>& scales, size_t g, const Step& step) const override {
    return buggy() && step.op == StepOp::prefill ? 1 : scales[g];
  }
};

class ReorderSkipped : public TokenCache {
  using TokenCache::TokenCache;
  void reorder(const std::vector<int64_t>& from) override {
    if (!buggy()) TokenCache::reorder(from);
  }
};

}  // namespace

extern const Specimen quant_scale_of_first_head, quant_scales_ignored, quant_reorder_skipped;

const Specimen quant_scale_of_first_head = {
    .name = "quant-scale-of-first-head",
    .about = "all KV heads are read with the first one's scale",
    .source = "sgl-kernel-xpu, pull request 252",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(
        R"(, "cache:dynamic", "cache:fixed", "quant:int8", "quant:e4m3", "scales:head")",
        R"(, ["dtype:f32", "scales:head"])"),
    .run = run_token_cache<ScaleOfFirstHead>};
const Specimen quant_scales_ignored = {
    .name = "quant-scales-ignored",
    .about = "a prefill reads quantised keys and values without their scales",
    .source = "flashinfer 0.6.18",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(
        R"(, "cache:dynamic", "ragged", "quant:e4m3", "quant:e5m2", "scales:head")", ""),
    .run = run_token_cache<ScalesIgnored>};
const Specimen quant_reorder_skipped = {
    .name = "quant-reorder-skipped",
    .about = "beam search does not reorder quantised tokens",
    .source = "transformers, pull request 48700",
    .capabilities =
        ATTNFUZZ_TOKEN_CACHE(R"(, "cache:dynamic", "step:reorder", "quant:int8", "scales:token")",
                             R"(, ["dtype:f32", "scales:token"])"),
    .run = run_token_cache<ReorderSkipped>};

}  // namespace attnfuzz
