// A contiguous cache, with its mutants.
#include <algorithm>
#include <stdexcept>

#include "targets/zoo/store.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"dense-head-stride", "the heads' stride is the length, not the room", Kernel::dense_cache, ""},
    {"dense-grow-loses-last", "growing copies one token too few", Kernel::dense_cache,
     "cache-growing-loses-last"},
    {"dense-keys-in-bf16", "keys are stored in bf16", Kernel::dense_cache, "lower-precision"},
    {"dense-crop-keeps-length", "crop sets the next position, not the length", Kernel::dense_cache,
     "length-unchanged"},
    {"dense-evict-moves-keys", "eviction moves keys up, and forgets the values",
     Kernel::dense_cache, "evict-moves-keys-alone"},
    {"dense-copy-keys-only", "reorder and fork copy keys, not values", Kernel::dense_cache,
     "copied-keys-alone"},
};

/// A buffer [heads, room, dim] for each row, which doubles.
class Dense : public Store {
 public:
  Dense(const Context& context, const Cache& of) : Store(context, of), room_(of.capacity) {
    resize(x.problem.batch * heads() * room_);
  }

  void append(const NewTokens& tokens) override {
    const int64_t needed = count(tokens.b) + tokens.count;
    if (needed > room_) {
      if (cache.capacity > 0) throw std::length_error("the cache is full");
      grow(std::max(needed, 2 * room_));
    }
    for (int64_t i = 0; i < tokens.count; ++i) {
      const int64_t n = count(tokens.b);
      row(tokens.b).positions.push_back(row(tokens.b).next++);
      for (int64_t g = 0; g < heads(); ++g) {
        write(slot(tokens.b, n, g), tokens.k.at(tokens.b, g, tokens.first + i),
              tokens.v.at(tokens.b, g, tokens.first + i));
      }
    }
  }

  void crop(int64_t b, int64_t length) override {
    if (x.m.is("dense-crop-keeps-length"_line))
      row(b).next = std::min(row(b).next, length);
    else
      Store::crop(b, length);
  }

  void hold() override { held_ = *this; }
  void copy_row(int64_t to, int64_t from) override {
    row(to) = held_.rows[static_cast<size_t>(from)];
    const bool values = !x.m.is("dense-copy-keys-only"_line);
    for (int64_t at = 0; at < heads() * room_; ++at) {
      const int64_t source = from * heads() * room_ + at, goal = to * heads() * room_ + at;
      write(goal, held_.k.data() + source * x.problem.head_dim,
            values ? held_.v.data() + source * x.problem.head_dim_v : v_at(goal));
    }
  }

 private:
  struct Held {
    std::vector<Row> rows;
    std::vector<double> k, v;
    Held() = default;
    Held(const Dense& of) : rows(of.rows), k(of.k), v(of.v) {}
  };

  int64_t heads() const { return x.problem.num_kv_heads; }
  int64_t slot(int64_t b, int64_t n, int64_t g) const override {
    const int64_t stride = x.m.is("dense-head-stride"_line) ? count(b) : room_;
    return b * heads() * room_ + g * stride + n;
  }

  void grow(int64_t room) {
    const std::vector<double> old_k = k, old_v = v;
    const int64_t old = room_;
    room_ = room;
    resize(x.problem.batch * heads() * room_);
    for (int64_t b = 0; b < x.problem.batch; ++b)
      for (int64_t g = 0; g < heads(); ++g)
        for (int64_t n = 0; n < count(b) - x.m.one("dense-grow-loses-last"_line); ++n) {
          const int64_t from = (b * heads() + g) * old + n;
          write(slot(b, n, g), old_k.data() + from * x.problem.head_dim,
                old_v.data() + from * x.problem.head_dim_v);
        }
  }

  int64_t room_;
  Held held_;
};

}  // namespace

std::unique_ptr<Store> make_dense_store(const Context& x, const Cache& cache) {
  return std::make_unique<Dense>(x, cache);
}

std::span<const Mutant> dense_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
