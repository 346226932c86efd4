// A cache of the last tokens, with its mutants.
#include <algorithm>

#include "targets/zoo/store.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"ring-capacity-plus-one", "the oldest token is read once more", Kernel::ring_cache,
     "ring-capacity-plus-one"},
    {"ring-capacity-minus-one", "the oldest token is dropped one step early", Kernel::ring_cache,
     "ring-capacity-minus-one"},
    {"ring-overwritten", "new tokens are written before the step's queries have read",
     Kernel::ring_cache, "ring-overwritten"},
    {"ring-window-of-first", "all queries of a step have its first one's window",
     Kernel::ring_cache, "ring-window-of-first"},
    {"ring-window-of-step", "queries see all that is there during the step", Kernel::ring_cache,
     "ring-window-of-step"},
    {"ring-positions-of-slots", "keys stand at their slots once the ring has turned",
     Kernel::ring_cache, "ring-positions-of-slots"},
    {"ring-not-turned", "the part after the turn comes with the positions of the one before",
     Kernel::ring_cache, "ring-not-turned"},
    {"ring-stuck", "a full ring writes new tokens to the last slot", Kernel::ring_cache,
     "ring-stuck"},
    {"ring-crop-ignored", "the write position stays where it was after a crop", Kernel::ring_cache,
     "crop-ignored"},
};

/// The last `capacity` tokens of a row, the one at position p in slot p mod capacity. A step's
/// tokens are written when it ends.
class Ring : public Store {
 public:
  Ring(const Context& context, const Cache& of) : Store(context, of) {
    const int64_t slots = x.problem.batch * x.problem.num_kv_heads * cache.capacity;
    resize(slots);
    added_.resize(static_cast<size_t>(x.problem.batch));
  }

  void append(const NewTokens& tokens) override {
    Added& added = added_[static_cast<size_t>(tokens.b)];
    added = {};
    for (int64_t g = 0; g < x.problem.num_kv_heads; ++g)
      for (int64_t i = 0; i < tokens.count; ++i) {
        const double* key = tokens.k.at(tokens.b, g, tokens.first + i);
        const double* value = tokens.v.at(tokens.b, g, tokens.first + i);
        added.k.insert(added.k.end(), key, key + x.problem.head_dim);
        added.v.insert(added.v.end(), value, value + x.problem.head_dim_v);
      }
    added.count = tokens.count;
    added.first = row(tokens.b).next;
    row(tokens.b).next += tokens.count;
    if (x.m.is("ring-overwritten"_line)) write_added(tokens.b);
  }

  void keys(int64_t b, int64_t g, std::vector<Key>& to) const override {
    const Mutation& m = x.m;
    const Added& added = added_[static_cast<size_t>(b)];
    const bool written = m.is("ring-overwritten"_line);
    const int64_t end = written ? row(b).next : added.first;
    const int64_t oldest = std::max<int64_t>(0, end - cache.capacity);
    const int64_t turn = end / cache.capacity * cache.capacity;
    for (int64_t position = oldest; position < end; ++position) {
      int64_t told = position;
      if (m.is("ring-positions-of-slots"_line)) told = position % cache.capacity;
      if (m.is("ring-not-turned"_line) && position >= turn) told = position - turn + oldest;
      const int64_t at = slot(b, position, g);
      to.push_back({.k = k_at(at), .v = v_at(at), .j = position - oldest, .position = told});
    }
    for (int64_t i = 0; i < added.count && !written; ++i)
      to.push_back({.k = added.k.data() + (g * added.count + i) * x.problem.head_dim,
                    .v = added.v.data() + (g * added.count + i) * x.problem.head_dim_v,
                    .j = end - oldest + i,
                    .position = added.first + i});
    if (m.is("ring-window-of-first"_line))
      for (Key& key : to)
        if (!key.memory && key.position <= added.first - cache.capacity) key.hidden = true;
  }

  void settle() override {
    for (int64_t b = 0; b < x.problem.batch; ++b) write_added(b);
  }
  void crop(int64_t b, int64_t length) override {
    if (x.m.is("ring-crop-ignored"_line)) return;
    row(b).next = std::min(row(b).next, length);
  }
  void hold() override {
    held_rows_ = rows;
    held_k_ = k;
    held_v_ = v;
  }
  void copy_row(int64_t to, int64_t from) override {
    row(to) = held_rows_[static_cast<size_t>(from)];
    const int64_t slots = x.problem.num_kv_heads * cache.capacity;
    for (int64_t at = 0; at < slots; ++at)
      write(to * slots + at, held_k_.data() + (from * slots + at) * x.problem.head_dim,
            held_v_.data() + (from * slots + at) * x.problem.head_dim_v);
  }
  int64_t length(int64_t b) const override { return std::min(row(b).next, cache.capacity); }
  int64_t reach() const override {
    const Mutation& m = x.m;
    if (m.is("ring-window-of-step"_line) || m.is("ring-window-of-first"_line))
      return int64_t{1} << 40;
    return cache.capacity + m.one("ring-capacity-plus-one"_line) -
           (cache.capacity > 1 ? m.one("ring-capacity-minus-one"_line) : 0);
  }

 private:
  struct Added {
    std::vector<double> k, v;  ///< [heads, count, dim]
    int64_t first = 0, count = 0;
  };

  int64_t slot(int64_t b, int64_t position, int64_t g) const override {
    return (b * x.problem.num_kv_heads + g) * cache.capacity + position % cache.capacity;
  }
  void write_added(int64_t b) {
    Added& added = added_[static_cast<size_t>(b)];
    for (int64_t g = 0; g < x.problem.num_kv_heads; ++g)
      for (int64_t i = 0; i < added.count; ++i) {
        int64_t position = added.first + i;
        if (x.m.is("ring-stuck"_line) && position >= cache.capacity) position = cache.capacity - 1;
        write(slot(b, position, g), added.k.data() + (g * added.count + i) * x.problem.head_dim,
              added.v.data() + (g * added.count + i) * x.problem.head_dim_v);
      }
    if (!x.m.is("ring-overwritten"_line))
      added = {{}, {}, row(b).next, 0};
    else
      added.count = 0;
  }

  std::vector<Added> added_;
  std::vector<Row> held_rows_;
  std::vector<double> held_k_, held_v_;
};

}  // namespace

std::unique_ptr<Store> make_ring_store(const Context& x, const Cache& cache) {
  return std::make_unique<Ring>(x, cache);
}

std::span<const Mutant> ring_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
