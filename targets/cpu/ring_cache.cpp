#include <algorithm>
#include <cstring>

#include "targets/cpu/cpu.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {
namespace {

/// Keeps the last `capacity` tokens of each row, the token at position p in slot p mod capacity;
/// or, with chunks of that size, those of the newest token's chunk. A step's first queries may
/// still see keys that its last tokens overwrite, so new tokens are read where they are and written
/// when the step ends.
class RingStore : public KeyStore {
 public:
  explicit RingStore(const StoreShape& shape, bool chunked = false)
      : shape_(shape), chunked_(chunked), rows_(static_cast<size_t>(shape.batch)) {
    for (Row& row : rows_) {
      row.k.resize(static_cast<size_t>(shape.heads * shape.capacity * shape.k_bytes));
      row.v.resize(static_cast<size_t>(shape.heads * shape.capacity * shape.v_bytes));
    }
  }

  void append(const NewTokens& tokens) override {
    rows_[static_cast<size_t>(tokens.b)].added = tokens;
  }

  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    const Row& row = rows_[static_cast<size_t>(b)];
    const auto ring = [&](int64_t first, int64_t end) {
      const int64_t slot = head * shape_.capacity + first % shape_.capacity;
      if (first < end)
        to.push_back({row.k.data() + slot * shape_.k_bytes, row.v.data() + slot * shape_.v_bytes,
                      shape_.k_bytes, shape_.v_bytes, first, end - first, false});
    };
    // Positions are contiguous in memory up to the last multiple of the capacity, and from there.
    const int64_t oldest = row.next - length(b);
    const int64_t turn = std::max(oldest, row.next / shape_.capacity * shape_.capacity);
    ring(oldest, turn);
    ring(turn, row.next);
    if (row.added.count > 0)
      to.push_back({row.added.k_at(head, 0), row.added.v_at(head, 0), row.added.k.token,
                    row.added.v.token, row.next, row.added.count, false});
  }

  void settle() override {
    for (Row& row : rows_) {
      const NewTokens& added = row.added;
      for (int64_t i = std::max<int64_t>(0, added.count - shape_.capacity); i < added.count; ++i) {
        for (int64_t h = 0; h < shape_.heads; ++h) {
          const int64_t slot = h * shape_.capacity + (row.next + i) % shape_.capacity;
          std::memcpy(row.k.data() + slot * shape_.k_bytes, added.k_at(h, i),
                      static_cast<size_t>(shape_.k_bytes));
          std::memcpy(row.v.data() + slot * shape_.v_bytes, added.v_at(h, i),
                      static_cast<size_t>(shape_.v_bytes));
        }
      }
      row.next += added.count;
      row.added = {};
    }
  }

  void reorder(std::span<const int64_t> rows) override {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) rows_[b] = old[static_cast<size_t>(rows[b])];
  }

  /// Only before any token was dropped: what is lost can not come back.
  void crop(int64_t length) override {
    for (Row& row : rows_) row.next = std::min(row.next, length);
  }

  int64_t next_position(int64_t b) const override { return rows_[static_cast<size_t>(b)].next; }
  int64_t length(int64_t b) const override {
    const int64_t next = next_position(b);
    if (chunked_) return next == 0 ? 0 : (next - 1) % shape_.capacity + 1;
    return std::min(next, shape_.capacity);
  }
  int64_t capacity() const override { return shape_.capacity; }
  int64_t reach(int64_t) const override { return chunked_ ? 0 : shape_.capacity; }
  int64_t chunk() const override { return chunked_ ? shape_.capacity : 0; }

 private:
  struct Row {
    std::vector<std::byte> k, v;  ///< [heads, capacity, dim]
    int64_t next = 0;             ///< position of the next token
    NewTokens added;              ///< by the step at hand
  };

  StoreShape shape_;
  bool chunked_;
  std::vector<Row> rows_;
};

}  // namespace

std::unique_ptr<KeyStore> make_ring_store(const StoreShape& shape) {
  return std::make_unique<RingStore>(shape);
}

std::unique_ptr<Target> open_cpu_ring_cache() {
  return cached_target("cpu:ring-cache", "a KV cache that keeps the last tokens of each row",
                       cache_capabilities(R"("cache:ring")", R"("capacity": [1, 512],)"),
                       make_ring_store);
}

std::unique_ptr<Target> open_cpu_chunked_cache() {
  return cached_target("cpu:chunked-cache", "a KV cache that starts anew with each chunk of tokens",
                       cache_capabilities(R"("cache:chunked")", R"("capacity": [1, 512],)"),
                       [](const StoreShape& shape) -> std::unique_ptr<KeyStore> {
                         return std::make_unique<RingStore>(shape, true);
                       });
}

}  // namespace attnfuzz
