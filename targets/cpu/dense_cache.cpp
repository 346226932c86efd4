#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "targets/cpu/block_claims.h"
#include "targets/cpu/cpu.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {
namespace {

/// What a Block does without masks and positions; {} is its precision.
constexpr std::string_view cross_capabilities = R"({{
  "sizes": {{"batch": [1, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 512],
    "kv_len": [1, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256], "memory_kv": [0, 32],
    "steps": [1, 64]}},
  "tiles": {{"q_len": [32], "kv_len": [64]}}, "max_rules": 0, "precision": {},
  "features": ["dtype:f32", "dtype:f64", "dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd",
    "gqa", "mqa", "head_dim_v", "scale", "softcap", "sinks", "memory_kv", "head_map:grouped",
    "head_map:interleaved", "empty", "data:normal", "data:large", "data:constant", "data:one_hot",
    "data:tiny", "nonfinite:nan_padding", "nonfinite:inf_padding", "cache:cross", "step:prefill",
    "step:append", "step:decode", "step:reorder", "step:reset", "step:fork", "ragged",
    "ragged_left"]
}})";

/// A buffer [heads, room, dim] for each row. With a capacity that is its room from the start; else
/// it grows by doubling.
class DenseStore : public KeyStore {
 public:
  explicit DenseStore(const StoreShape& shape)
      : shape_(shape), rows_(static_cast<size_t>(shape.batch)) {
    for (Row& row : rows_) grow(row, shape.capacity);
  }

  void append(const NewTokens& tokens) override {
    Row& row = rows_[static_cast<size_t>(tokens.b)];
    const int64_t needed = row.length + tokens.count;
    if (needed > row.room) {
      if (shape_.capacity > 0) throw std::length_error("the cache is full");
      grow(row, std::max({needed, 2 * row.room, int64_t{16}}));
    }
    for (int64_t h = 0; h < shape_.heads; ++h) {
      for (int64_t i = 0; i < tokens.count; ++i) {
        const int64_t slot = h * row.room + row.length + i;
        std::memcpy(row.k.data() + slot * shape_.k_bytes, tokens.k_at(h, i), size(shape_.k_bytes));
        std::memcpy(row.v.data() + slot * shape_.v_bytes, tokens.v_at(h, i), size(shape_.v_bytes));
      }
    }
    row.length = needed;
  }

  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    const Row& row = rows_[static_cast<size_t>(b)];
    to.push_back({row.k.data() + head * row.room * shape_.k_bytes,
                  row.v.data() + head * row.room * shape_.v_bytes, shape_.k_bytes, shape_.v_bytes,
                  0, row.length, false});
  }

  void reorder(std::span<const int64_t> rows) override {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) rows_[b] = old[static_cast<size_t>(rows[b])];
  }

  void evict(int64_t b, int64_t first, int64_t count) override {
    Row& row = rows_[static_cast<size_t>(b)];
    const int64_t behind = row.length - first - count;
    if (count == 0) return;
    for (int64_t h = 0; h < shape_.heads; ++h) {
      const int64_t slot = h * row.room + first;
      std::memmove(row.k.data() + slot * shape_.k_bytes,
                   row.k.data() + (slot + count) * shape_.k_bytes, size(behind * shape_.k_bytes));
      std::memmove(row.v.data() + slot * shape_.v_bytes,
                   row.v.data() + (slot + count) * shape_.v_bytes, size(behind * shape_.v_bytes));
    }
    row.length -= count;
  }

  void crop(int64_t length) override {
    for (Row& row : rows_) row.length = std::min(row.length, length);
  }

  int64_t next_position(int64_t b) const override { return rows_[static_cast<size_t>(b)].length; }
  int64_t capacity() const override { return shape_.capacity; }

 private:
  struct Row {
    std::vector<std::byte> k, v;
    int64_t room = 0, length = 0;
  };

  static size_t size(int64_t bytes) { return static_cast<size_t>(bytes); }

  void grow(Row& row, int64_t room) const {
    Row grown;
    grown.k.resize(size(shape_.heads * room * shape_.k_bytes));
    grown.v.resize(size(shape_.heads * room * shape_.v_bytes));
    for (int64_t h = 0; h < shape_.heads && row.length > 0; ++h) {
      std::memcpy(grown.k.data() + h * room * shape_.k_bytes,
                  row.k.data() + h * row.room * shape_.k_bytes, size(row.length * shape_.k_bytes));
      std::memcpy(grown.v.data() + h * room * shape_.v_bytes,
                  row.v.data() + h * row.room * shape_.v_bytes, size(row.length * shape_.v_bytes));
    }
    grown.room = room;
    grown.length = row.length;
    row = std::move(grown);
  }

  StoreShape shape_;
  std::vector<Row> rows_;
};

}  // namespace

std::unique_ptr<KeyStore> make_dense_store(const StoreShape& shape) {
  return std::make_unique<DenseStore>(shape);
}

std::unique_ptr<Target> open_cpu_dense_cache() {
  return cached_target(
      "cpu:dense-cache", "a contiguous KV cache, of fixed size or growing",
      cache_capabilities(R"("cache:dynamic", "cache:fixed", "step:evict", "positions:kept",
                             "positions:shifted")",
                         R"("capacity": [0, 2048],)"),
      make_dense_store);
}

std::unique_ptr<Target> open_cpu_quantised_cache() {
  return cached_target(
      "cpu:quantised-cache", "a contiguous KV cache of 8-bit numbers",
      cache_capabilities(R"("cache:dynamic", "cache:fixed", "step:evict", "positions:kept",
                             "positions:shifted", "quant:int8", "quant:e4m3", "quant:e5m2",
                             "scales:token", "scales:head")",
                         R"("capacity": [0, 2048],)"),
      make_dense_store);
}

std::unique_ptr<Target> open_cpu_cross_cache() {
  return cached_target("cpu:cross-cache", "keys and values that a decoder's queries all see",
                       fmt::format(cross_capabilities, block_precision), make_dense_store);
}

}  // namespace attnfuzz
