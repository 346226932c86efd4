#pragma once
#include <cmath>

#include "targets/cuda/block.h"
#include "targets/cuda/mask_rules.h"
#include "targets/cuda/number.h"

/// Attention of one tile of queries by one block: tiles of keys with the online softmax (Milakov
/// and Gimelshein 2018; Dao et al. 2022, FlashAttention).
namespace attnfuzz::cuda {

template <class T, class Block>
struct FlashParams {
  template <class E>
  using Global = typename Block::template Global<E>;

  Global<const T> q, k, v, sinks;
  Global<T> out;
  Global<float> lse;
  Strides q_strides, k_strides, v_strides, out_strides;
  int64_t num_heads, num_kv_heads, q_len, kv_len, head_dim, head_dim_v;
  float scale, softcap;  ///< softcap 0: off
  double exact_scale, exact_softcap;
  bool with_sinks, with_lse, nan_if_masked;
  MaskRules<Global<const int64_t>> mask;
  Mistake mistake = Mistake::none;
};

/// Sizes of a launch: one block for each tile of queries of each head of each batch row.
struct FlashShape {
  static constexpr int64_t rows = 32, keys = 32;

  int64_t width, width_v;  ///< head sizes, padded

  ATTNFUZZ_HOST_DEVICE FlashShape(int64_t head_dim, int64_t head_dim_v)
      : width(padded(head_dim)), width_v(padded(head_dim_v)) {}
  ATTNFUZZ_HOST_DEVICE static constexpr int64_t query_tiles(int64_t q_len) {
    return (q_len + rows - 1) / rows;
  }
  static constexpr int64_t blocks(int64_t batch, int64_t num_heads, int64_t q_len) {
    return batch * num_heads * query_tiles(q_len);
  }
  /// Calls visit(count, bytes of an element) for each array in shared memory, in order.
  template <class T, class Visit>
  void arrays(const Visit& visit) const {
    visit(rows * width, sizeof(T));
    visit(keys * width, sizeof(T));
    visit(keys * width_v, sizeof(T));
    visit(rows * keys, sizeof(Sum<T>));
    visit(rows * keys, sizeof(T));
    visit(rows * width_v, sizeof(Sum<T>));
    for (int n = 0; n < 3; ++n) visit(rows, sizeof(Sum<T>));
  }
};

template <class T, class Block>
class Flash {
 public:
  using Params = FlashParams<T, Block>;
  using S = Sum<T>;

  ATTNFUZZ_HOST_DEVICE static void run(Block& block, const Params& params) {
    Flash(block, params).attend();
  }

 private:
  template <class E>
  using Shared = typename Block::template Shared<E>;
  static constexpr int64_t rows = FlashShape::rows, keys = FlashShape::keys;

  ATTNFUZZ_HOST_DEVICE Flash(Block& to, const Params& params)
      : block(to),
        p(params),
        shape(params.head_dim, params.head_dim_v),
        q(to.template shared<T>("the query tile", rows * shape.width)),
        k(to.template shared<T>("the key tile", keys * shape.width)),
        v(to.template shared<T>("the value tile", keys * shape.width_v)),
        scores(to.template shared<S>("the scores", rows * keys)),
        weights(to.template shared<T>("the weights", rows * keys)),
        sums(to.template shared<S>("the output tile", rows * shape.width_v)),
        max(to.template shared<S>("the maxima", rows)),
        total(to.template shared<S>("the sums", rows)),
        factor(to.template shared<S>("the factors", rows)) {
    const int64_t tiles = FlashShape::query_tiles(p.q_len);
    const int64_t head = block.index() / tiles;
    first = block.index() % tiles * rows;
    b = head / p.num_heads;
    h = head % p.num_heads;
    g = h / (p.num_heads / p.num_kv_heads);
    real = p.mask.real_keys(b);
  }

  ATTNFUZZ_HOST_DEVICE void attend() {
    start();
    const KeyRange range = joined();
    const bool early = p.mistake == Mistake::tile_not_awaited;
    const bool late = p.mistake == Mistake::tile_overwritten;
    const bool whole = p.mistake == Mistake::tail_not_masked;
    for (int64_t from = range.begin / keys * keys; from < range.end; from += keys) {
      const int64_t left = padded(range.end - from), used = left < keys && !whole ? left : keys;
      load(from, early ? Sync::warp : Sync::block);
      score(used);
      weigh(from);
      rescale();
      add(used, late ? Sync::warp : Sync::block);
    }
    finish();
  }

  /// Keys that some query of the tile sees.
  ATTNFUZZ_HOST_DEVICE KeyRange joined() const {
    KeyRange all{no_limit, 0};
    for (int64_t r = 0; r < rows && first + r < p.q_len; ++r) {
      const KeyRange one = seen(r);
      if (one.begin >= one.end) continue;
      if (one.begin < all.begin) all.begin = one.begin;
      if (one.end > all.end) all.end = one.end;
    }
    return all;
  }
  ATTNFUZZ_HOST_DEVICE KeyRange seen(int64_t r) const {
    if (first + r >= p.q_len) return {0, 0};
    return p.mask.seen(b, p.mask.first_position + first + r, {0, p.kv_len});
  }

  ATTNFUZZ_HOST_DEVICE void start() {
    block.each_thread(Sync::block, [this](int thread) {
      for (int64_t e = thread; e < rows * shape.width; e += threads) {
        const int64_t r = e / shape.width, d = e % shape.width;
        const bool inside = first + r < p.q_len && d < p.head_dim;
        q.set(e, inside ? p.q.at(offset_of(p.q_strides, p.mistake, b, h, first + r, d))
                        : nearest<T>(0));
      }
      for (int64_t e = thread; e < rows * shape.width_v; e += threads) sums.set(e, 0);
      if (thread < rows) {
        max.set(thread, -infinity<S>);
        total.set(thread, 0);
      }
    });
  }

  /// Keys from, from + 1 … and their values; zeros where there is no token.
  ATTNFUZZ_HOST_DEVICE void load(int64_t from, Sync sync) {
    block.each_thread(sync, [this, from](int thread) {
      load_tile(p.k, p.k_strides, k, shape.width, p.head_dim, from, thread);
      load_tile(p.v, p.v_strides, v, shape.width_v, p.head_dim_v, from, thread);
    });
  }
  template <class Tensor>
  ATTNFUZZ_HOST_DEVICE void load_tile(const Tensor& tensor, Strides strides, const Shared<T>& to,
                                      int64_t width, int64_t dim, int64_t from, int thread) const {
    if (p.mistake == Mistake::head_stride_ignored) {
      strides.head = p.kv_len * dim;
      strides.token = dim;
    }
    const int64_t end = p.mistake == Mistake::tail_not_guarded ? p.kv_len : no_limit;
    for (int64_t e = thread; e < keys * width; e += threads) {
      const int64_t j = from + e / width, d = e % width;
      const bool inside = d < dim && ((j >= real.begin && j < real.end) || j >= end);
      to.set(e, inside ? tensor.at(offset_of(strides, p.mistake, b, g, j, d)) : nearest<T>(0));
    }
  }

  /// Tiles of the rows that stand for queries.
  ATTNFUZZ_HOST_DEVICE int64_t row_tiles() const {
    return (first + tile < p.q_len ? rows : tile) / tile;
  }

  /// The tile's first `used` keys.
  ATTNFUZZ_HOST_DEVICE void score(int64_t used) {
    block.each_warp(Sync::block, [this, used](int warp) {
      const int64_t across = used / tile;
      for (int64_t task = warp; task < row_tiles() * across; task += warps) {
        const int64_t r = task / across * tile, c = task % across * tile;
        block.multiply_add(Matrix<Shared<T>>{q, shape.width, r, 0},
                           Matrix<Shared<T>>{k, shape.width, 0, c, true},
                           Matrix<Shared<S>>{scores, keys, r, c}, shape.width, false);
      }
    });
  }

  ATTNFUZZ_HOST_DEVICE S bent(S score) const {
    if constexpr (std::is_same_v<S, double>) {
      score *= p.exact_scale;
      return p.exact_softcap > 0 ? p.exact_softcap * tanh(score / p.exact_softcap) : score;
    } else {
      score *= p.scale;
      return p.softcap > 0 ? p.softcap * tanhf(score / p.softcap) : score;
    }
  }
  ATTNFUZZ_HOST_DEVICE static S exponential(S x) {
    if constexpr (std::is_same_v<S, double>)
      return exp(x);
    else
      return expf(x);
  }

  /// Each row's softmax over the tile, a thread for each row.
  ATTNFUZZ_HOST_DEVICE void weigh(int64_t from) {
    block.each_thread(Sync::block, [this, from](int thread) {
      if (thread >= rows) return;
      KeyRange range = seen(thread);
      if (p.mistake == Mistake::tail_not_masked && range.end == p.kv_len) range.end = from + keys;
      const int64_t begin = range.begin > from ? range.begin - from : 0;
      const int64_t end = range.end < from + keys ? range.end - from : keys;
      const int64_t row = thread * keys;
      const S old = max.at(thread);
      S top = old;
      for (int64_t c = begin; c < end; ++c) {
        const S s = bent(scores.at(row + c));
        scores.set(row + c, s);
        if (s > top || s != s) top = s;
      }
      S sum = 0;
      for (int64_t c = 0; c < keys; ++c) {
        const S weight = c >= begin && c < end ? exponential(scores.at(row + c) - top) : S{0};
        sum += weight;
        weights.set(row + c, nearest<T>(weight));
      }
      const S kept = begin < end && old != top ? exponential(old - top) : S{1};
      factor.set(thread, kept);
      total.set(thread, total.at(thread) * kept + sum);
      max.set(thread, top);
    });
  }

  ATTNFUZZ_HOST_DEVICE void rescale() {
    block.each_thread(Sync::block, [this](int thread) {
      for (int64_t e = thread; e < rows * shape.width_v; e += threads) {
        const S kept = factor.at(e / shape.width_v);
        if (kept != 1) sums.set(e, sums.at(e) * kept);
      }
    });
  }

  ATTNFUZZ_HOST_DEVICE void add(int64_t used, Sync sync) {
    block.each_warp(sync, [this, used](int warp) {
      const int64_t across = shape.width_v / tile;
      const bool wider = p.mistake == Mistake::value_stride && shape.width > shape.width_v;
      const int64_t stride = wider ? shape.width : shape.width_v;
      for (int64_t task = warp; task < row_tiles() * across; task += warps) {
        const int64_t r = task / across * tile, c = task % across * tile;
        block.multiply_add(Matrix<Shared<T>>{weights, keys, r, 0},
                           Matrix<Shared<T>>{v, stride, 0, c},
                           Matrix<Shared<S>>{sums, shape.width_v, r, c}, used, true);
      }
    });
  }

  ATTNFUZZ_HOST_DEVICE void finish() {
    block.each_thread(Sync::block, [this](int thread) {
      const S none = -infinity<S>;
      const S sink = p.with_sinks ? S{widen(p.sinks.at(h))} : none;
      for (int64_t e = thread; e < rows * p.head_dim_v; e += threads) {
        const int64_t r = e / p.head_dim_v, d = e % p.head_dim_v;
        if (first + r >= p.q_len) continue;
        const S own = max.at(r), top = own > sink || own != own ? own : sink;
        S x = p.nan_if_masked ? not_a_number<S> : S{0}, sum = 0;
        if (top != none) {
          const S kept = own == none ? S{0} : exponential(own - top);
          sum = total.at(r) * kept + (sink == none ? S{0} : exponential(sink - top));
          x = sums.at(r * shape.width_v + d) * kept / sum;
        }
        p.out.set(offset_of(p.out_strides, p.mistake, b, h, first + r, d), nearest<T>(x));
        if (d == 0 && p.with_lse)
          p.lse.set((b * p.num_heads + h) * p.q_len + first + r,
                    static_cast<float>(top == none ? none : top + log(sum)));
      }
    });
  }

  Block& block;
  const Params& p;
  FlashShape shape;
  Shared<T> q, k, v;
  Shared<S> scores;
  Shared<T> weights;
  Shared<S> sums, max, total, factor;
  int64_t first, b, h, g;  ///< the first query, the batch row, its head and KV head
  KeyRange real;
};

}  // namespace attnfuzz::cuda
