/// What a layer with a state carries from step to step.
///
/// gla-layer-offset. flash-linear-attention before 0.1, GatedLinearAttention.forward:
/// https://github.com/fla-org/flash-linear-attention/issues/126. The layer tells its cache
/// offset=q.shape[2], which had been the tokens while q was head-first; sequence-first, it is the
/// heads. The state is right, the count of tokens is not. (specimen:gla-cache-offset shows what
/// such a count does to a cache that writes where it says.)
///
/// gdn-cached-chunk-restarts. Transformers, Qwen3-Next and Qwen3.5:
/// https://github.com/huggingface/transformers/pull/45513. The cached state is used where a step
/// brings one token; a step of more (chunked prefill, speculative decoding) begins with none.
///
/// mamba2-batch-one-restarts. vLLM: https://github.com/vllm-project/vllm/pull/22034. The chunked
/// kernel drops the initial states when there is one of them: a batch of one row.
///
/// mamba2-decay-from-chunk. vLLM: https://github.com/vllm-project/vllm/pull/23279. The rows of a
/// batch lie one behind the other in one sequence of chunks. What a row's state decays by is summed
/// up from the start of the chunk that the row begins in, not from the row's own start: it decays
/// by its neighbours' tokens as well.
///
/// mamba-padded-tail. vLLM: https://github.com/vllm-project/vllm/pull/55178. The padding behind a
/// row's last token goes into its state.
///
/// state-reorder-skipped. Transformers: https://github.com/huggingface/transformers/issues/46612.
/// Beam search reorders the cache that is called past_key_values; models that call theirs
/// cache_params or state keep the old order.
#include <cmath>

#include "targets/specimens/state_layer.h"

namespace attnfuzz {
namespace {

class LayerOffset : public StateLayer {
  using StateLayer::StateLayer;
  int64_t counted(size_t step, size_t b) const override {
    return buggy() ? inputs().at("q." + std::to_string(step)).shape[2]
                   : StateLayer::counted(step, b);
  }
};

class ChunkRestarts : public StateLayer {
  using StateLayer::StateLayer;
  bool carries_on(const Step& step) const override { return !buggy() || step.q_len == 1; }
};

class BatchOneRestarts : public StateLayer {
  using StateLayer::StateLayer;
  bool carries_on(const Step& step) const override {
    return !buggy() || problem().batch != 1 || step.q_len == 1;
  }
};

class DecayFromChunk : public StateLayer {
  using StateLayer::StateLayer;
  static constexpr int64_t chunk = 8;

  /// The tokens before the row's first in the chunk that it begins in are those of the rows before.
  void before(const Tokens& tokens, const Step& step, const Stretch& stretch,
              State& state) const override {
    if (!buggy() || step.q_len == 1) return;
    int64_t place = 0;  // of the row's first token
    for (size_t b = 0; b < stretch.b; ++b) place += step.real_tokens(b);
    int64_t in_chunk = place % chunk;
    float extra = 1;
    for (size_t b = stretch.b; b-- > 0 && in_chunk > 0;)
      for (int64_t t = step.real_tokens(b); t-- > 0 && in_chunk > 0; --in_chunk)
        extra *= decay(tokens, b, stretch.g, step.first_real(b) + t, 0);
    for (float& x : state) x *= extra;
  }
};

class PaddedTail : public StateLayer {
  using StateLayer::StateLayer;
  Stretch stretch_of(const Step& step, size_t b, int64_t g) const override {
    Stretch stretch = StateLayer::stretch_of(step, b, g);
    if (buggy()) stretch.count = step.q_len - stretch.first;
    return stretch;
  }
};

class ReorderSkipped : public StateLayer {
  using StateLayer::StateLayer;
  void reorder(const std::vector<int64_t>& to) override {
    if (!buggy()) StateLayer::reorder(to);
  }
};

}  // namespace

extern const Specimen gla_layer_offset, gdn_cached_chunk_restarts, mamba2_batch_one_restarts,
    mamba2_decay_from_chunk, mamba_padded_tail, state_reorder_skipped;

#define ATTNFUZZ_STEPS R"("q_len": [1, 40], "steps": [1, 6])"
const Specimen gla_layer_offset = {
    .name = "gla-layer-offset",
    .about = "a layer's count of tokens grows by num_heads instead of q_len",
    .source = "flash-linear-attention 659a08a3",
    .capabilities = ATTNFUZZ_STATE_LAYER(ATTNFUZZ_STATE_STEPS R"(, "kind:linear")", ATTNFUZZ_STEPS),
    .run = run_state_layer<LayerOffset>};
const Specimen gdn_cached_chunk_restarts = {
    .name = "gdn-cached-chunk-restarts",
    .about = "a step of more than one token begins with an empty state",
    .source = "transformers before PR 45513",
    .capabilities = ATTNFUZZ_STATE_LAYER(ATTNFUZZ_STATE_STEPS R"(, "kind:gated_delta", "ragged")",
                                         ATTNFUZZ_STEPS),
    .run = run_state_layer<ChunkRestarts>};
const Specimen mamba2_batch_one_restarts = {
    .name = "mamba2-batch-one-restarts",
    .about = "in a batch of one row, a step of more than one token begins with an empty state",
    .source = "vllm before PR 22034",
    .capabilities = ATTNFUZZ_STATE_LAYER(ATTNFUZZ_STATE_STEPS R"(, "kind:ssd")", ATTNFUZZ_STEPS),
    .run = run_state_layer<BatchOneRestarts>};
const Specimen mamba2_decay_from_chunk = {
    .name = "mamba2-decay-from-chunk",
    .about = "a row's state also decays by the tokens of other rows in the same chunk",
    .source = "vllm before PR 23279",
    .capabilities =
        ATTNFUZZ_STATE_LAYER(ATTNFUZZ_STATE_STEPS R"(, "kind:ssd", "ragged")", ATTNFUZZ_STEPS),
    .run = run_state_layer<DecayFromChunk>};
const Specimen mamba_padded_tail = {
    .name = "mamba-padded-tail",
    .about = "the padding behind a row's last token goes into its state",
    .source = "vllm before PR 55178",
    .capabilities = ATTNFUZZ_STATE_LAYER(
        ATTNFUZZ_STATE_STEPS R"(, "kind:ssd", "ragged", "nonfinite:nan_padding")", ATTNFUZZ_STEPS),
    .run = run_state_layer<PaddedTail>};
const Specimen state_reorder_skipped = {
    .name = "state-reorder-skipped",
    .about = "beam search does not reorder a model's state",
    .source = "transformers, issue 46612",
    .capabilities = ATTNFUZZ_STATE_LAYER(
        ATTNFUZZ_STATE_STEPS R"(, "kind:ssd", "step:reorder", "step:reset")", ATTNFUZZ_STEPS),
    .run = run_state_layer<ReorderSkipped>};
#undef ATTNFUZZ_STEPS

}  // namespace attnfuzz
