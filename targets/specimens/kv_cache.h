#pragma once
#include <optional>

#include "oracle/case.h"
#include "targets/specimens/torch_like.h"

namespace attnfuzz {

/// The two caches of Transformers that the specimens were found with: one that grows by torch.cat
/// ("dynamic") and one that writes into a buffer of `capacity` tokens ("fixed"). It counts the
/// tokens it has seen by what it is told, which is how a wrong count can do harm.
class KvCache {
 public:
  explicit KvCache(const Cache& cache) : cache_(cache) {}

  /// Takes in k and v, [batch, num_kv_heads, tokens, dim], and counts `offset` tokens.
  void update(const torch_like::Array& k, const torch_like::Array& v, int64_t offset);

  /// Row b becomes a copy of row rows[b].
  void reorder(const std::vector<int64_t>& rows);

  /// All that is cached; fixed: the whole buffer, zeros where nothing was written.
  const torch_like::Array& keys() const { return keys_; }
  const torch_like::Array& values() const { return values_; }

  /// Where the tokens of the last update stand among the keys.
  int64_t first_of_last() const { return first_of_last_; }
  int64_t seen_tokens() const { return seen_tokens_; }

  /// get_max_cache_shape() of Transformers: none (None) for a cache without a limit.
  std::optional<int64_t> max_cache_shape() const;

 private:
  Cache cache_;
  torch_like::Array keys_, values_;
  int64_t seen_tokens_ = 0, first_of_last_ = 0;
};

}  // namespace attnfuzz
