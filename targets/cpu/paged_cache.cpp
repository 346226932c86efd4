#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "targets/cpu/claiming.h"
#include "targets/cpu/cpu.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {
namespace {

/// Pages of page_size tokens in one pool, a block table for each row (Kwon et al. 2023,
/// PagedAttention). Rows share pages after a reorder; a shared page is copied before it is written.
/// A page is [heads, page_size, dim] for keys, then the same for values.
class PagedStore : public KeyStore {
 public:
  explicit PagedStore(const StoreShape& shape)
      : shape_(shape),
        k_page_(shape.heads * shape.page_size * shape.k_bytes),
        page_bytes_(k_page_ + shape.heads * shape.page_size * shape.v_bytes),
        rows_(static_cast<size_t>(shape.batch)) {
    const int64_t pages = shape.batch * pages_for(shape.capacity);
    pool_.resize(static_cast<size_t>(pages * page_bytes_));
    users_.resize(static_cast<size_t>(pages), 0);
    for (int64_t page = 0; page < pages; ++page) free_.push_back(page);
  }

  void append(const NewTokens& tokens) override {
    Row& row = rows_[static_cast<size_t>(tokens.b)];
    if (row.length + tokens.count > shape_.capacity) throw std::length_error("the cache is full");
    for (int64_t i = 0; i < tokens.count; ++i, ++row.length) {
      const int64_t slot = row.length % shape_.page_size;
      if (slot == 0)
        row.table.push_back(take());
      else
        make_own(row.table.back());
      for (int64_t h = 0; h < shape_.heads; ++h) {
        std::memcpy(k_at(row.table.back(), h, slot), tokens.k_at(h, i),
                    static_cast<size_t>(shape_.k_bytes));
        std::memcpy(v_at(row.table.back(), h, slot), tokens.v_at(h, i),
                    static_cast<size_t>(shape_.v_bytes));
      }
    }
  }

  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    const Row& row = rows_[static_cast<size_t>(b)];
    for (size_t n = 0; n < row.table.size(); ++n) {
      const int64_t first = static_cast<int64_t>(n) * shape_.page_size;
      const int64_t count = std::min(shape_.page_size, row.length - first);
      to.push_back({k_at(row.table[n], head, 0), v_at(row.table[n], head, 0), shape_.k_bytes,
                    shape_.v_bytes, first, count, false});
    }
  }

  void reorder(std::span<const int64_t> rows) override {
    std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) {
      rows_[b] = old[static_cast<size_t>(rows[b])];
      for (const int64_t page : rows_[b].table) ++users_[static_cast<size_t>(page)];
    }
    for (Row& row : old) release(row, 0);
  }

  /// Tokens move up one by one; a page that other rows use is copied first.
  void evict(int64_t b, int64_t first, int64_t count) override {
    Row& row = rows_[static_cast<size_t>(b)];
    if (count == 0) return;
    for (int64_t to = first; to + count < row.length; ++to) {
      int64_t& page = row.table[static_cast<size_t>(to / shape_.page_size)];
      make_own(page);
      const int64_t from = to + count;
      const int64_t source = row.table[static_cast<size_t>(from / shape_.page_size)];
      for (int64_t h = 0; h < shape_.heads; ++h) {
        std::memcpy(k_at(page, h, to % shape_.page_size), k_at(source, h, from % shape_.page_size),
                    static_cast<size_t>(shape_.k_bytes));
        std::memcpy(v_at(page, h, to % shape_.page_size), v_at(source, h, from % shape_.page_size),
                    static_cast<size_t>(shape_.v_bytes));
      }
    }
    row.length -= count;
    release(row, static_cast<size_t>(pages_for(row.length)));
  }

  void crop(int64_t length) override {
    for (Row& row : rows_) {
      row.length = std::min(row.length, length);
      release(row, static_cast<size_t>(pages_for(row.length)));
    }
  }

  int64_t next_position(int64_t b) const override { return rows_[static_cast<size_t>(b)].length; }
  int64_t capacity() const override { return shape_.capacity; }

 private:
  struct Row {
    std::vector<int64_t> table;  ///< pages in order of position
    int64_t length = 0;
  };

  int64_t pages_for(int64_t tokens) const {
    return (tokens + shape_.page_size - 1) / shape_.page_size;
  }
  std::byte* k_at(int64_t page, int64_t head, int64_t slot) {
    return pool_.data() + k_offset(page, head, slot);
  }
  const std::byte* k_at(int64_t page, int64_t head, int64_t slot) const {
    return pool_.data() + k_offset(page, head, slot);
  }
  std::byte* v_at(int64_t page, int64_t head, int64_t slot) {
    return pool_.data() + v_offset(page, head, slot);
  }
  const std::byte* v_at(int64_t page, int64_t head, int64_t slot) const {
    return pool_.data() + v_offset(page, head, slot);
  }
  int64_t k_offset(int64_t page, int64_t head, int64_t slot) const {
    return page * page_bytes_ + (head * shape_.page_size + slot) * shape_.k_bytes;
  }
  int64_t v_offset(int64_t page, int64_t head, int64_t slot) const {
    return page * page_bytes_ + k_page_ + (head * shape_.page_size + slot) * shape_.v_bytes;
  }

  /// The page that was freed last comes first, with the old tokens still in it.
  int64_t take() {
    const int64_t page = free_.back();
    free_.pop_back();
    users_[static_cast<size_t>(page)] = 1;
    return page;
  }

  void make_own(int64_t& page) {
    int64_t& users = users_[static_cast<size_t>(page)];
    if (users == 1) return;
    --users;
    const int64_t own = take();
    std::memcpy(k_at(own, 0, 0), k_at(page, 0, 0), static_cast<size_t>(page_bytes_));
    page = own;
  }

  void release(Row& row, size_t keep) {
    for (; row.table.size() > keep; row.table.pop_back())
      if (--users_[static_cast<size_t>(row.table.back())] == 0) free_.push_back(row.table.back());
  }

  StoreShape shape_;
  int64_t k_page_, page_bytes_;
  std::vector<std::byte> pool_;
  std::vector<int64_t> users_, free_;
  std::vector<Row> rows_;
};

}  // namespace

std::unique_ptr<Target> cpu_paged_cache_claiming(std::string_view capabilities) {
  return cached_target("cpu:paged-cache", "a KV cache in pages that rows share until they differ",
                       capabilities, [](const StoreShape& shape) -> std::unique_ptr<KeyStore> {
                         return std::make_unique<PagedStore>(shape);
                       });
}

std::unique_ptr<Target> open_cpu_paged_cache() {
  return cpu_paged_cache_claiming(
      cache_capabilities(R"("cache:paged", "step:evict", "positions:kept", "positions:shifted")",
                         R"("capacity": [1, 2048], "page_size": [1, 256],)"));
}

}  // namespace attnfuzz
