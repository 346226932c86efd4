/// Caches of what a decoder reads of an encoder.
///
/// cross-cut-to-window. Transformers, T5Gemma:
/// https://github.com/huggingface/transformers/pull/46111. The cross-attention cache is made from
/// the decoder's configuration and inherits its sliding window: only the last keys of the encoder
/// are kept.
///
/// cross-lengths-ignored. FasterTransformer:
/// https://github.com/NVIDIA/FasterTransformer/issues/270. What a decoder reads depends on how far
/// the encoder's output is padded: the rows' lengths are not applied.
#include <algorithm>

#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class CutToWindow : public TokenCache {
  using TokenCache::TokenCache;
  Span keys_of(const Step& step, size_t b) const override {
    constexpr int64_t window = 6;
    const Span all = TokenCache::keys_of(step, b);
    const int64_t count = buggy() ? std::min(all.count, window) : all.count;
    return {all.first + all.count - count, count};
  }
};

class LengthsIgnored : public TokenCache {
  using TokenCache::TokenCache;
  Span keys_of(const Step& step, size_t b) const override {
    return buggy() ? Span{0, step.keys()} : TokenCache::keys_of(step, b);
  }
};

constexpr std::string_view cross = ATTNFUZZ_TOKEN_CACHE_OF(
    R"(, "cache:cross", "ragged", "ragged_left", "step:reorder", "step:fork", "step:reset")", "");

}  // namespace

extern const Specimen cross_cut_to_window, cross_lengths_ignored;

const Specimen cross_cut_to_window = {
    .name = "cross-cut-to-window",
    .about = "a cross-attention cache keeps the last keys of the encoder alone",
    .source = "transformers, pull request 46111",
    .capabilities = cross,
    .run = run_token_cache<CutToWindow>};
const Specimen cross_lengths_ignored = {
    .name = "cross-lengths-ignored",
    .about = "a decoder also reads the padding of the encoder's shorter rows",
    .source = "FasterTransformer, issue 270",
    .capabilities = cross,
    .run = run_token_cache<LengthsIgnored>};

}  // namespace attnfuzz
