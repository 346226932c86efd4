/// What a kernel gets wrong within one call.
///
/// fused-chunk-gla-head-first. flash-linear-attention, fused_chunk_gla:
/// https://github.com/fla-org/flash-linear-attention/issues/547. The package went over to
/// sequence-first tensors, the kernel did not: it takes the head axis for the token axis.
///
/// gla-gates-divided. flash-linear-attention, fused_chunk_gla:
/// https://github.com/fla-org/flash-linear-attention/issues/20. Within a chunk keys are divided by
/// the decays since its start, exp(−sum): where gates are nearly closed this overflows, and what it
/// is multiplied with is 0.
///
/// gated-delta-state-narrow. Ollama's MLX runner: https://github.com/ollama/ollama/issues/15865.
/// The kernel stores the state in the type of the inputs, bf16, in place of f32.
///
/// retention-last-chunk-decay. flash-linear-attention, chunk_bwd of simple_gla with g_gamma, by the
/// review of https://github.com/fla-org/flash-linear-attention/pull/469: the decay over a whole
/// chunk is gamma^(T mod chunk), which is that of the last chunk, and none where the chunks come
/// out even. Rebuilt in the forward pass.
#include <algorithm>
#include <cmath>

#include "oracle/dtype.h"
#include "oracle/linear/kinds.h"
#include "targets/specimens/state_layer.h"

namespace attnfuzz {
namespace {

class HeadFirst : public StateLayer {
  using StateLayer::StateLayer;
  Array read(const std::string& name) const override { return seen(StateLayer::read(name)); }
  Tensor written(const Array& out) const override { return StateLayer::written(seen(out)); }
  Array seen(const Array& array) const {
    return buggy() && problem().layout == Layout::bshd ? torch_like::transpose(array, 1, 2) : array;
  }
};

class GatesDivided : public StateLayer {
  using StateLayer::StateLayer;
  static constexpr int64_t chunk = 64;

  void take(const Tokens& tokens, const Stretch& stretch, State& state, Array& out) const override {
    if (!buggy()) return StateLayer::take(tokens, stretch, state, out);
    for (int64_t done = 0; done < stretch.count; done += chunk)
      take_chunk(
          tokens,
          {stretch.b, stretch.g, stretch.first + done, std::min(chunk, stretch.count - done)},
          state, out);
  }

  /// The keys divided, the queries multiplied by the decays since the chunk's start. So the state
  /// without decays can be read; it is decayed once, at the chunk's end.
  void take_chunk(const Tokens& tokens, const Stretch& stretch, State& state, Array& out) const {
    const int64_t dim = tokens.k.shape[3], dim_v = tokens.v.shape[3];
    const size_t b = stretch.b;
    std::vector<float> sums(static_cast<size_t>(dim), 0);
    Tokens multiplied = tokens;
    for (int64_t t = stretch.first; t < stretch.first + stretch.count; ++t) {
      for (int64_t d = 0; d < dim; ++d) {
        float& sum = sums[static_cast<size_t>(d)];
        sum += tokens.gate.values[at(tokens.gate, b, stretch.g, t, d)];
        const float k = tokens.k.values[at(tokens.k, b, stretch.g, t, d)] * std::exp(-sum);
        for (int64_t e = 0; e < dim_v; ++e)
          state[static_cast<size_t>(d * dim_v + e)] +=
              k * tokens.v.values[at(tokens.v, b, stretch.g, t, e)];
        for (int64_t h = 0; h < tokens.q.shape[1]; ++h)
          multiplied.q.values[at(tokens.q, b, h, t, d)] =
              tokens.q.values[at(tokens.q, b, h, t, d)] * std::exp(sum);
      }
      answer(multiplied, stretch, t, state, out);
    }
    for (int64_t d = 0; d < dim; ++d)
      for (int64_t e = 0; e < dim_v; ++e)
        state[static_cast<size_t>(d * dim_v + e)] *= std::exp(sums[static_cast<size_t>(d)]);
  }
};

class NarrowState : public StateLayer {
  using StateLayer::StateLayer;
  void after_token(const Stretch&, int64_t, State& state) const override {
    if (!buggy()) return;
    for (float& x : state) x = static_cast<float>(round_to(problem().dtype, x));
  }
};

class LastChunkDecay : public StateLayer {
  using StateLayer::StateLayer;
  static constexpr int64_t chunk = 8;
  void after_token(const Stretch& stretch, int64_t t, State& state) const override {
    const int64_t done = t - stretch.first + 1;
    if (!buggy() || done % chunk != 0 || done == stretch.count) return;
    const auto too_much = static_cast<double>(stretch.count % chunk - chunk);
    for (float& x : state) x *= static_cast<float>(std::exp(fixed_gate(stretch.g) * too_much));
  }
};

}  // namespace

extern const Specimen fused_chunk_gla_head_first, gla_gates_divided, gated_delta_state_narrow,
    retention_last_chunk_decay;

const Specimen fused_chunk_gla_head_first = {
    .name = "fused-chunk-gla-head-first",
    .about = "a kernel takes the head axis of sequence-first tensors for the token axis",
    .source = "flash-linear-attention, issue 547",
    .capabilities = ATTNFUZZ_STATE_LAYER(R"(, "dtype:f32", "kind:linear")", R"("q_len": [1, 96])"),
    .run = run_state_layer<HeadFirst>};
const Specimen gla_gates_divided = {
    .name = "gla-gates-divided",
    .about = "keys are divided by decays that may be too small for it",
    .source = "flash-linear-attention, issue 20",
    .capabilities = ATTNFUZZ_STATE_LAYER(R"(, "dtype:f32", "kind:linear", "gqa", "mqa")",
                                         R"("q_len": [1, 96])"),
    .run = run_state_layer<GatesDivided>};
const Specimen gated_delta_state_narrow = {
    .name = "gated-delta-state-narrow",
    .about = "the state is stored in the type of the inputs",
    .source = "ollama 0.22.0",
    .capabilities = ATTNFUZZ_STATE_LAYER(R"(, "dtype:bf16", "dtype:f32", "kind:gated_delta")",
                                         R"("q_len": [1, 96])"),
    .run = run_state_layer<NarrowState>};
const Specimen retention_last_chunk_decay = {
    .name = "retention-last-chunk-decay",
    .about = "the state decays over each chunk by as much as over the last one",
    .source = "flash-linear-attention, PR 469",
    .capabilities = ATTNFUZZ_STATE_LAYER(R"(, "dtype:f32", "kind:retnet", "gqa", "mqa")",
                                         R"("q_len": [1, 96])"),
    .run = run_state_layer<LastChunkDecay>};

}  // namespace attnfuzz
