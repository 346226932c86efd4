/// Evictions, and where the tokens that stay are taken to stand.
///
/// shift-delta-replaced. llama.cpp, llama_kv_cache_seq_shift:
/// https://github.com/ggml-org/llama.cpp/issues/3825. A second shift before the next decode
/// replaces the first one's delta (delta = d) where positions add up (pos += d): keys are rotated
/// by the last shift alone. Fixed: https://github.com/ggml-org/llama.cpp/pull/3835.
///
/// shift-first-row-only. llama.cpp: https://github.com/ggml-org/llama.cpp/pull/14742. The keys of
/// streams other than the first are not rotated.
///
/// sink-keys-not-shifted. Transformers, SinkCache:
/// https://github.com/huggingface/transformers/issues/33691. Positions close up behind an eviction,
/// the keys keep the angles of where they stood.
///
/// eviction-rewinds-offset. VeloxQuant-MLX:
/// https://github.com/rajveer43/VeloxQuant-MLX/issues/389. After an eviction the offset is the
/// number of tokens kept, where positions should be kept: later tokens stand too early.
///
/// eviction-causal-by-slot. VeloxQuant-MLX:
/// https://github.com/rajveer43/VeloxQuant-MLX/issues/370. The causal mask compares the query's
/// position with the key's slot; after an eviction slots are less than positions, and the queries
/// of a step see the tokens behind them.
///
#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class Eviction : public TokenCache {
 protected:
  using TokenCache::TokenCache;
  /// Evicts, then gives each token that stays `encode(token, as it was)`.
  template <class Encode>
  void evict_and(size_t b, const Step& step, const Encode& encode) {
    const std::vector<Held> before = rows[b].held;
    TokenCache::evict(b, step);
    std::vector<Held>& after = rows[b].held;
    const size_t gone = before.size() - after.size();
    for (size_t j = 0; j < after.size(); ++j)
      after[j].encoded =
          encode(after[j], before[j < static_cast<size_t>(step.start) ? j : j + gone]);
  }
};

class DeltaReplaced : public Eviction {
  using Eviction::Eviction;
  void evict(size_t b, const Step& step) override {
    evict_and(b, step, [&](const Held& now, const Held& was) {
      const int64_t delta = now.position - was.position;
      return delta + (buggy() ? was.read : was.encoded);
    });
  }
};

class FirstRowOnly : public Eviction {
  using Eviction::Eviction;
  void evict(size_t b, const Step& step) override {
    evict_and(b, step, [&](const Held& now, const Held& was) {
      return buggy() && b > 0 ? was.encoded : now.encoded;
    });
  }
};

class KeysNotShifted : public Eviction {
  using Eviction::Eviction;
  void evict(size_t b, const Step& step) override {
    evict_and(b, step, [&](const Held& now, const Held& was) {
      return buggy() ? was.encoded : now.encoded;
    });
  }
};

class RewindsOffset : public TokenCache {
  using TokenCache::TokenCache;
  void evict(size_t b, const Step& step) override {
    TokenCache::evict(b, step);
    if (buggy()) rows[b].next = static_cast<int64_t>(rows[b].held.size());
  }
};

class CausalBySlot : public TokenCache {
  using TokenCache::TokenCache;
  bool is_past(const Pair& pair) const override {
    return buggy() ? pair.slot <= pair.q_pos : TokenCache::is_past(pair);
  }
};

constexpr std::string_view shifting = ATTNFUZZ_TOKEN_CACHE(
    R"(, "rope:half", "cache:dynamic", "step:evict", "positions:shifted", "step:crop")",
    R"(, ["dtype:f32", "rope:half"])");
constexpr std::string_view keeping = ATTNFUZZ_TOKEN_CACHE(
    R"(, "rule:alibi", "cache:dynamic", "cache:fixed", "step:evict", "positions:kept")", "");

}  // namespace

extern const Specimen shift_delta_replaced, shift_first_row_only, sink_keys_not_shifted,
    eviction_rewinds_offset, eviction_causal_by_slot;

const Specimen shift_delta_replaced = {
    .name = "shift-delta-replaced",
    .about = "of two evictions in a row only the second one's shift reaches the keys",
    .source = "llama.cpp, issue 3825",
    .capabilities = shifting,
    .run = run_token_cache<DeltaReplaced>};
const Specimen shift_first_row_only = {.name = "shift-first-row-only",
                                       .about = "only the first row's keys move up",
                                       .source = "llama.cpp, pull request 14742",
                                       .capabilities = shifting,
                                       .run = run_token_cache<FirstRowOnly>};
const Specimen sink_keys_not_shifted = {
    .name = "sink-keys-not-shifted",
    .about = "positions close up behind an eviction, the keys' angles do not",
    .source = "transformers 4.44.2",
    .capabilities = shifting,
    .run = run_token_cache<KeysNotShifted>};
const Specimen eviction_rewinds_offset = {
    .name = "eviction-rewinds-offset",
    .about = "after an eviction the next token stands at the number of tokens kept",
    .source = "VeloxQuant-MLX, issue 389",
    .capabilities = keeping,
    .run = run_token_cache<RewindsOffset>};
const Specimen eviction_causal_by_slot = {
    .name = "eviction-causal-by-slot",
    .about = "after an eviction the causal mask compares positions with slots",
    .source = "VeloxQuant-MLX, issue 370",
    .capabilities = keeping,
    .run = run_token_cache<CausalBySlot>};

}  // namespace attnfuzz
