/// Rotary positions that a cache carries.
///
/// rope-turned-twice. SHAInet: https://github.com/NeuraLegion/shainet/pull/110. Keys are turned
/// when they are written to the cache, and all cached keys again when they are read.
///
/// rope-offset-of-first-call. rotary-embedding-torch:
/// https://github.com/lucidrains/rotary-embedding-torch/issues/11. The table of angles is kept by
/// the number of tokens alone: the next call with as many gets the offset of the first.
///
/// rope-new-keys-not-turned. SGLang's fused rope and cache write:
/// https://github.com/kvcache-ai/sglang/pull/66. Turned keys are written to the cache alone; a
/// step's own attention reads its new keys as they came.
#include <map>

#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class TurnedTwice : public TokenCache {
  using TokenCache::TokenCache;
  int64_t key_angle(const Held& token, const Pair&) const override {
    return buggy() ? token.encoded + token.position : token.encoded;
  }
};

class OffsetOfFirstCall : public TokenCache {
  using TokenCache::TokenCache;
  int64_t first_angle(const Step& step, int64_t first_position) override {
    if (!buggy()) return first_position;
    return known_.try_emplace(step.q_len, first_position).first->second;
  }
  std::map<int64_t, int64_t> known_;  ///< by the number of tokens
};

class NewKeysNotTurned : public TokenCache {
  using TokenCache::TokenCache;
  int64_t key_angle(const Held& token, const Pair& pair) const override {
    return buggy() && token.position >= pair.first_q_pos ? 0 : token.encoded;
  }
};

constexpr std::string_view rope =
    ATTNFUZZ_TOKEN_CACHE(R"(, "cache:dynamic", "cache:fixed", "step:reset", "rope:half")",
                         R"(, ["dtype:f32", "rope:half"])");

}  // namespace

extern const Specimen rope_turned_twice, rope_offset_of_first_call, rope_new_keys_not_turned;

const Specimen rope_turned_twice = {
    .name = "rope-turned-twice",
    .about = "keys are turned when they are cached and again when they are read",
    .source = "SHAInet, pull request 110",
    .capabilities = rope,
    .run = run_token_cache<TurnedTwice>};
const Specimen rope_offset_of_first_call = {
    .name = "rope-offset-of-first-call",
    .about = "a step is turned by the offset of the first step with as many tokens",
    .source = "rotary-embedding-torch, issue 11",
    .capabilities = rope,
    .run = run_token_cache<OffsetOfFirstCall>};
const Specimen rope_new_keys_not_turned = {
    .name = "rope-new-keys-not-turned",
    .about = "a step reads its own new keys as they were before they were turned",
    .source = "sglang, kvcache-ai's pull request 66",
    .capabilities = rope,
    .run = run_token_cache<NewKeysNotTurned>};

}  // namespace attnfuzz
