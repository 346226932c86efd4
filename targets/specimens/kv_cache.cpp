#include "targets/specimens/kv_cache.h"

namespace attnfuzz {
namespace {

using torch_like::Array;

void append(Array& cached, const Array& fresh) {
  cached = cached.shape.empty() ? fresh : torch_like::cat({cached, fresh}, 2);
}

void write(Array& buffer, const Array& fresh, int64_t capacity, int64_t at) {
  if (buffer.shape.empty()) buffer = Array({fresh.size(0), fresh.size(1), capacity, fresh.size(3)});
  torch_like::assign_slice(buffer, 2, at, at + fresh.size(2), fresh);
}

}  // namespace

void KvCache::update(const Array& k, const Array& v, int64_t offset) {
  if (cache_.kind == CacheKind::dynamic) {
    append(keys_, k);
    append(values_, v);
    first_of_last_ = keys_.size(2) - k.size(2);
  } else {
    write(keys_, k, cache_.capacity, seen_tokens_);
    write(values_, v, cache_.capacity, seen_tokens_);
    first_of_last_ = seen_tokens_;
  }
  seen_tokens_ += offset;
}

void KvCache::reorder(const std::vector<int64_t>& rows) {
  keys_ = torch_like::index_select(keys_, 0, rows);
  values_ = torch_like::index_select(values_, 0, rows);
}

std::optional<int64_t> KvCache::max_cache_shape() const {
  return cache_.kind == CacheKind::dynamic ? std::nullopt : std::optional(cache_.capacity);
}

}  // namespace attnfuzz
