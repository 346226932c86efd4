/// Rows of a cache that differ, are copied, or are cut.
///
/// crop-zero-ignored. Transformers, DynamicLayer.crop:
/// https://github.com/huggingface/transformers/issues/47433. A length of 0 is taken for a number of
/// tokens to remove: crop(0) keeps all.
///
/// fork-shares-tail-page. Atlas: https://github.com/Avarok-Cybersecurity/atlas/issues/1193. A page
/// that is partly filled is shared with the copy of a row and not copied before it is written: both
/// rows write into it, and each reads the other's tokens.
///
/// left-padding-one-position. Unsloth: https://github.com/unslothai/unsloth/pull/3795. After a
/// left-padded prompt all rows take their positions from cache_position, which is the longest
/// row's.
#include <algorithm>

#include "targets/specimens/token_cache.h"

namespace attnfuzz {
namespace {

class CropZeroIgnored : public TokenCache {
  using TokenCache::TokenCache;
  void crop(Row& row, int64_t length) const override {
    const auto size = static_cast<int64_t>(row.held.size());
    TokenCache::crop(row, buggy() && length <= 0 ? size - length : length);
  }
};

class SharesTailPage : public TokenCache {
  using TokenCache::TokenCache;
  void fork(size_t from, size_t to) override {
    TokenCache::fork(from, to);
    std::erase_if(shares_, [&](const Share& share) { return share.a == to || share.b == to; });
    const int64_t size = static_cast<int64_t>(rows[from].held.size()), page = cache().page_size;
    if (buggy() && from != to && size % page != 0)
      shares_.push_back({from, to, size, (size / page + 1) * page});
  }
  void append(size_t b, Held token) override {
    const auto slot = static_cast<int64_t>(rows[b].held.size());
    for (const Share& share : shares_) {
      if ((share.a != b && share.b != b) || slot < share.begin || slot >= share.end) continue;
      std::vector<Held>& other = rows[share.a == b ? share.b : share.a].held;
      if (static_cast<int64_t>(other.size()) <= slot) continue;
      other[static_cast<size_t>(slot)].k = token.k;
      other[static_cast<size_t>(slot)].v = token.v;
    }
    TokenCache::append(b, std::move(token));
  }

  /// Two rows and the free slots of the page that they share.
  struct Share {
    size_t a, b;
    int64_t begin, end;
  };
  std::vector<Share> shares_;
};

class OnePosition : public TokenCache {
  using TokenCache::TokenCache;
  int64_t first_position(size_t b) const override {
    if (!buggy()) return TokenCache::first_position(b);
    int64_t longest = 0;
    for (const Row& row : rows) longest = std::max(longest, row.next);
    return longest;
  }
};

}  // namespace

extern const Specimen crop_zero_ignored, fork_shares_tail_page, left_padding_one_position;

const Specimen crop_zero_ignored = {
    .name = "crop-zero-ignored",
    .about = "a crop to no tokens keeps all",
    .source = "transformers 71554973",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(R"(, "cache:dynamic", "step:crop", "step:reset")", ""),
    .run = run_token_cache<CropZeroIgnored>};
const Specimen fork_shares_tail_page = {
    .name = "fork-shares-tail-page",
    .about = "a page that is partly filled is shared by two rows and written by both",
    .source = "Atlas, issue 1193",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(R"(, "cache:paged", "step:fork")", ""),
    .run = run_token_cache<SharesTailPage>};
const Specimen left_padding_one_position = {
    .name = "left-padding-one-position",
    .about = "after a left-padded prompt all rows go on at the longest row's position",
    .source = "unsloth, issue 3699",
    .capabilities = ATTNFUZZ_TOKEN_CACHE(
        R"(, "rule:alibi", "cache:dynamic", "cache:fixed", "ragged", "ragged_left")", ""),
    .run = run_token_cache<OnePosition>};

}  // namespace attnfuzz
