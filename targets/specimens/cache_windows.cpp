/// Caches that forget, and what was reported of them.
///
/// sliding-cache-rolls-early. Transformers, SlidingWindowCache.update:
/// https://github.com/huggingface/transformers/issues/37574. The buffer is rolled when the position
/// reaches window − 1, one token too early: the oldest token is lost while there is still room, and
/// an empty slot is attended to. When: one token brings the row to exactly the window's size.
///
/// ring-overwritten-before-read. ExecuTorch, prefill in chunks larger than the window:
/// https://github.com/pytorch/executorch/pull/20346. A step's tokens are written to the ring before
/// its queries read it, so the first queries lose keys that are still in their windows.
///
/// window-of-first-query. ExecuTorch, StaticAttentionIOManager:
/// https://github.com/pytorch/executorch/pull/21857. The cached part of the mask is made for the
/// step's first query and used for all: later queries see more than the window allows.
///
/// sink-window-drops-newest. Reward-Forcing:
/// https://github.com/JaydenLyh/Reward-Forcing/issues/5. Behind the sinks the newest tokens are
/// evicted, not the oldest.
///
/// window-length-of-dropped. Token-Print:
/// https://github.com/Sudharsanselvaraj/Token-Print/issues/281. Once the window is full, the length
/// that is reported is the number of tokens dropped.
///
/// hybrid-capacity-of-window. Transformers, Cache.max_cache_len:
/// https://github.com/huggingface/transformers/pull/39737. The capacity of a cache with sliding and
/// full layers is taken from a sliding one.
#include <algorithm>

#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class RollsEarly : public TokenCache {
  using TokenCache::TokenCache;
  void append(size_t b, Held token) override {
    std::vector<Held>& held = rows[b].held;
    if (buggy() && brought == 1 && token.position == cache().capacity - 1 && !held.empty()) {
      held.erase(held.begin());
      for (Held& earlier : held) --earlier.position;  // a slot each
      Held nothing = token;
      --nothing.position;
      nothing.k.assign(token.k.size(), 0);
      nothing.v.assign(token.v.size(), 0);
      held.push_back(std::move(nothing));
    }
    held.push_back(std::move(token));
  }
  /// As the buffer's size and the tokens seen tell.
  int64_t length(const Row& row) const override { return std::min(row.next, cache().capacity); }
};

class OverwrittenBeforeRead : public TokenCache {
  using TokenCache::TokenCache;
  bool sees(const Pair& pair) const override {
    const int64_t newest = buggy() ? pair.last_q_pos : pair.q_pos;
    return TokenCache::sees(pair) && pair.key_pos > newest - cache().capacity;
  }
};

class WindowOfFirst : public TokenCache {
  using TokenCache::TokenCache;
  bool sees(const Pair& pair) const override {
    const int64_t q_pos = buggy() ? pair.first_q_pos : pair.q_pos;
    return pair.key_pos > q_pos - cache().capacity;
  }
};

class DropsNewest : public TokenCache {
  using TokenCache::TokenCache;
  bool sees(const Pair& pair) const override {
    if (!buggy()) return TokenCache::sees(pair);
    return pair.slot < cache().capacity - 1 || pair.key_pos == pair.q_pos;
  }
  void forget(Row& row) const override {
    if (!buggy()) return TokenCache::forget(row);
    const auto size = static_cast<int64_t>(row.held.size());
    if (size > cache().capacity)
      row.held.erase(row.held.begin() + cache().capacity - 1, row.held.end() - 1);
  }
};

class LengthOfDropped : public TokenCache {
  using TokenCache::TokenCache;
  int64_t length(const Row& row) const override {
    const int64_t dropped = row.next - cache().capacity;
    return buggy() && dropped > 0 ? dropped : TokenCache::length(row);
  }
};

class CapacityOfWindow : public TokenCache {
  using TokenCache::TokenCache;
  int64_t capacity() const override { return buggy() ? cache().capacity : TokenCache::capacity(); }
};

constexpr std::string_view ring =
    ATTNFUZZ_TOKEN_CACHE(R"(, "cache:ring", "ragged", "step:reset")", "");

}  // namespace

extern const Specimen sliding_cache_rolls_early, ring_overwritten_before_read,
    window_of_first_query, sink_window_drops_newest, window_length_of_dropped,
    hybrid_capacity_of_window;

const Specimen sliding_cache_rolls_early = {
    .name = "sliding-cache-rolls-early",
    .about = "a sliding window is rolled one token before it is full",
    .source = "transformers 4.51",
    .capabilities = ring,
    .run = run_token_cache<RollsEarly>};
const Specimen ring_overwritten_before_read = {
    .name = "ring-overwritten-before-read",
    .about = "a step's new tokens overwrite keys that its first queries still see",
    .source = "executorch, pull request 20346",
    .capabilities = ring,
    .run = run_token_cache<OverwrittenBeforeRead>};
const Specimen window_of_first_query = {
    .name = "window-of-first-query",
    .about = "all queries of a step have the window of the first",
    .source = "executorch, pull request 21857",
    .capabilities = ring,
    .run = run_token_cache<WindowOfFirst>};
const Specimen sink_window_drops_newest = {
    .name = "sink-window-drops-newest",
    .about = "behind the attention sinks the newest tokens are evicted, not the oldest",
    .source = "Reward-Forcing, issue 5",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(R"(, "cache:sink_window")", ""),
    .run = run_token_cache<DropsNewest>};
const Specimen window_length_of_dropped = {
    .name = "window-length-of-dropped",
    .about = "a full window reports how many tokens it has dropped as its length",
    .source = "Token-Print, issue 281",
    .capabilities = ring,
    .run = run_token_cache<LengthOfDropped>};
const Specimen hybrid_capacity_of_window = {
    .name = "hybrid-capacity-of-window",
    .about = "a cache of full and sliding layers reports a sliding layer's capacity as its own",
    .source = "transformers 4.54",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(R"(, "cache:dynamic", "cache:hybrid")", ""),
    .run = run_token_cache<CapacityOfWindow>};

}  // namespace attnfuzz
