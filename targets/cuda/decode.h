#pragma once
#include <cmath>

#include "targets/cuda/block.h"
#include "targets/cuda/mask_rules.h"
#include "targets/cuda/number.h"

/// Attention over a paged cache (Kwon et al. 2023, PagedAttention) by parts of the keys ("Flash-
/// Decoding", Dao et al. 2023): one block for each part of each query; the block of a query that
/// ends last merges its parts.
namespace attnfuzz::cuda {

/// Keys and values in pages of [num_kv_heads, page_size, dim], and each row's pages in order.
template <class T, class Block>
struct Pages {
  template <class E>
  using Global = typename Block::template Global<E>;

  Global<T> k, v;
  Global<const int64_t> table;  ///< [batch, pages_per_row]
  int64_t num_kv_heads, page_size, pages_per_row, head_dim, head_dim_v;
  int64_t k_page, v_page;  ///< elements from page to page
  Mistake mistake = Mistake::none;

  ATTNFUZZ_HOST_DEVICE int64_t page(int64_t b, int64_t j) const {
    if (mistake == Mistake::page_of_first_row) b = 0;
    return table.at(b * pages_per_row + j / page_size);
  }
  ATTNFUZZ_HOST_DEVICE int64_t k_at(int64_t page, int64_t g, int64_t j, int64_t d) const {
    return offset_of({k_page, page_size * head_dim, head_dim}, mistake, page, g, j % page_size, d);
  }
  ATTNFUZZ_HOST_DEVICE int64_t v_at(int64_t page, int64_t g, int64_t j, int64_t d) const {
    return offset_of({v_page, page_size * head_dim_v, head_dim_v}, mistake, page, g, j % page_size,
                     d);
  }
};

/// A step's real tokens of each row: places first_token + 0 … count − 1 of its tensors.
template <class Block>
struct StepRows {
  using Numbers = typename Block::template Global<const int64_t>;
  Numbers first_token, count, past;  ///< past: tokens cached before the step
};

/// Writes the new tokens to their pages: a block for each token of each row.
template <class T, class Block>
class Append {
 public:
  struct Params {
    Pages<T, Block> pages;
    StepRows<Block> rows;
    typename Block::template Global<const T> k, v;
    Strides k_strides, v_strides;
    int64_t q_len;
  };

  ATTNFUZZ_HOST_DEVICE static void run(Block& block, const Params& p) {
    const int64_t b = block.index() / p.q_len, i = block.index() % p.q_len;
    if (i >= p.rows.count.at(b)) return;
    const int64_t j = p.rows.past.at(b) + i, token = p.rows.first_token.at(b) + i;
    block.each_thread(Sync::block, [&p, b, j, token](int thread) {
      const Pages<T, Block>& to = p.pages;
      const int64_t page = to.table.at(b * to.pages_per_row + j / to.page_size);
      for (int64_t e = thread; e < to.num_kv_heads * to.head_dim; e += threads) {
        const int64_t g = e / to.head_dim, d = e % to.head_dim;
        to.k.set(to.k_at(page, g, j, d),
                 p.k.at(offset_of(p.k_strides, Mistake::none, b, g, token, d)));
      }
      for (int64_t e = thread; e < to.num_kv_heads * to.head_dim_v; e += threads) {
        const int64_t g = e / to.head_dim_v, d = e % to.head_dim_v;
        to.v.set(to.v_at(page, g, j, d),
                 p.v.at(offset_of(p.v_strides, Mistake::none, b, g, token, d)));
      }
    });
  }
};

/// Sizes of a launch.
struct DecodeShape {
  static constexpr int64_t keys = 32;  ///< of a tile
  static constexpr int64_t smallest_part = 32, most_parts = 8;
  static constexpr int64_t widest = 256;  ///< head_dim_v

  int64_t head_dim, head_dim_v;

  static constexpr int64_t parts(int64_t longest_row) {
    const int64_t wanted = (longest_row + smallest_part - 1) / smallest_part;
    return wanted < 1 ? 1 : wanted > most_parts ? most_parts : wanted;
  }
  /// Keys [begin, end) of part n of so many.
  ATTNFUZZ_HOST_DEVICE static constexpr KeyRange part(KeyRange range, int64_t n, int64_t count) {
    const int64_t size = range.end > range.begin ? range.end - range.begin : 0;
    return {range.begin + size * n / count, range.begin + size * (n + 1) / count};
  }
  template <class T, class Visit>
  void arrays(const Visit& visit) const {
    visit(head_dim, sizeof(float));
    visit(keys * head_dim, sizeof(T));
    visit(keys * head_dim_v, sizeof(T));
    visit(keys, sizeof(float));
    visit(keys, sizeof(float));
    visit(1, sizeof(int64_t));
  }
};

template <class T, class Block>
class Decode {
 public:
  template <class E>
  using Global = typename Block::template Global<E>;

  struct Params {
    Pages<T, Block> pages;
    StepRows<Block> rows;
    Global<const T> q, sinks;
    Global<T> out;
    Global<float> lse, partial;  ///< partial: [block][max, sum, head_dim_v sums]
    Global<uint32_t> ended;      ///< [query] parts that have ended, 0 at first
    Strides q_strides, out_strides;
    int64_t num_heads, q_len, parts;
    float scale, softcap;
    bool with_sinks, with_lse;
    MaskRules<Global<const int64_t>> mask;
    Mistake mistake = Mistake::none;
  };

  ATTNFUZZ_HOST_DEVICE static void run(Block& block, const Params& params) {
    Decode(block, params).attend();
  }

 private:
  template <class E>
  using Shared = typename Block::template Shared<E>;
  static constexpr int64_t keys = DecodeShape::keys, columns = DecodeShape::widest / threads;
  static constexpr float none = -infinity<float>;

  ATTNFUZZ_HOST_DEVICE Decode(Block& to, const Params& params)
      : block(to),
        p(params),
        dim(params.pages.head_dim),
        dim_v(params.pages.head_dim_v),
        q(to.template shared<float>("the query", dim)),
        k(to.template shared<T>("the key tile", keys * dim)),
        v(to.template shared<T>("the value tile", keys * dim_v)),
        scores(to.template shared<float>("the scores", keys)),
        weights(to.template shared<float>("the weights", keys)),
        order(to.template shared<int64_t>("the ticket", 1)) {
    query = block.index() / p.parts;
    part = block.index() % p.parts;
    i = query % p.q_len;
    h = query / p.q_len % p.num_heads;
    b = query / p.q_len / p.num_heads;
    g = h / (p.num_heads / p.pages.num_kv_heads);
  }

  ATTNFUZZ_HOST_DEVICE void attend() {
    const int64_t nth = i - p.rows.first_token.at(b);  // among the row's real tokens
    const int64_t held = p.rows.past.at(b) + p.rows.count.at(b);
    if (nth < 0 || nth >= p.rows.count.at(b)) return;
    const KeyRange all = p.mask.seen(b, p.rows.past.at(b) + nth, {0, held});
    const KeyRange mine = DecodeShape::part(all, part, p.parts);
    start();
    for (int64_t from = mine.begin; from < mine.end; from += keys)
      add_tile(from, mine.end - from < keys ? mine.end - from : keys);
    publish();
    if (is_last()) merge();
  }

  ATTNFUZZ_HOST_DEVICE void start() {
    block.each_thread(Sync::block, [this](int thread) {
      for (int64_t d = thread; d < dim; d += threads)
        q.set(d, widen(p.q.at(offset_of(p.q_strides, Mistake::none, b, h, i, d))));
      max[thread] = none;
      total[thread] = 0;
      for (int c = 0; c < columns; ++c) sums[c][thread] = 0;
    });
  }

  ATTNFUZZ_HOST_DEVICE void add_tile(int64_t from, int64_t count) {
    block.each_thread(Sync::block, [this, from, count](int thread) {
      for (int64_t e = thread; e < count * dim; e += threads) {
        const int64_t j = from + e / dim;
        k.set(e, p.pages.k.at(p.pages.k_at(p.pages.page(b, j), g, j, e % dim)));
      }
      for (int64_t e = thread; e < count * dim_v; e += threads) {
        const int64_t j = from + e / dim_v;
        v.set(e, p.pages.v.at(p.pages.v_at(p.pages.page(b, j), g, j, e % dim_v)));
      }
    });
    block.each_thread(Sync::block, [this, count](int thread) {
      if (thread >= count) return;
      float s = 0;
      for (int64_t d = 0; d < dim; ++d) s += q.at(d) * widen(k.at(thread * dim + d));
      s *= p.scale;
      scores.set(thread, p.softcap > 0 ? p.softcap * tanhf(s / p.softcap) : s);
    });
    // The threads that are needed follow the maximum, each for itself.
    block.each_thread(Sync::block, [this, count](int thread) {
      if (!is_needed(thread)) return;
      float top = max[thread];
      for (int64_t n = 0; n < count; ++n) {
        const float s = scores.at(n);
        if (s > top || s != s) top = s;
      }
      kept[thread] = max[thread] == top ? 1.0F : expf(max[thread] - top);
      max[thread] = top;
      if (thread < count) weights.set(thread, expf(scores.at(thread) - top));
    });
    block.each_thread(Sync::block, [this, count](int thread) {
      if (!is_needed(thread)) return;
      total[thread] *= kept[thread];
      for (int64_t n = 0; n < count; ++n) total[thread] += weights.at(n);
      for (int c = 0; c < columns; ++c) {
        const int64_t d = thread + c * threads;
        sums[c][thread] *= kept[thread];
        for (int64_t n = 0; n < count && d < dim_v; ++n)
          sums[c][thread] += weights.at(n) * widen(v.at(n * dim_v + d));
      }
    });
  }
  /// For a key of the tile or a column of the output.
  ATTNFUZZ_HOST_DEVICE bool is_needed(int thread) const { return thread < keys || thread < dim_v; }

  ATTNFUZZ_HOST_DEVICE int64_t partial_at(int64_t of_part) const {
    return (query * p.parts + of_part) * (2 + dim_v);
  }

  ATTNFUZZ_HOST_DEVICE void publish() {
    block.each_thread(Sync::block, [this](int thread) {
      const int64_t at = partial_at(part);
      if (thread == 0) {
        p.partial.set(at, max[thread]);
        p.partial.set(at + 1, total[thread]);
      }
      for (int c = 0; c < columns; ++c) {
        const int64_t d = thread + c * threads;
        if (d < dim_v) p.partial.set(at + 2 + d, sums[c][thread]);
      }
    });
  }

  /// Whether all other parts of the query have ended.
  ATTNFUZZ_HOST_DEVICE bool is_last() {
    if (p.mistake == Mistake::merge_by_index) return part == p.parts - 1;
    return block.ticket(p.ended, query, order) == p.parts - 1;
  }

  ATTNFUZZ_HOST_DEVICE void merge() {
    block.each_thread(Sync::block, [this](int thread) {
      if (!is_needed(thread)) return;
      const float sink = p.with_sinks ? widen(p.sinks.at(h)) : none;
      float top = sink;
      for (int64_t n = 0; n < p.parts; ++n) {
        const float of_part = p.partial.at(partial_at(n));
        if (of_part > top || of_part != of_part) top = of_part;
      }
      float sum = sink == none ? 0.0F : expf(sink - top);
      for (int64_t n = 0; n < p.parts; ++n)
        sum += weight_of(n, top) * p.partial.at(partial_at(n) + 1);
      for (int64_t d = thread; d < dim_v; d += threads) {
        float x = 0;  // where no key is seen
        if (top != none) {
          for (int64_t n = 0; n < p.parts; ++n)
            x += weight_of(n, top) * p.partial.at(partial_at(n) + 2 + d);
          x /= sum;
        }
        p.out.set(offset_of(p.out_strides, Mistake::none, b, h, i, d), nearest<T>(x));
      }
      if (thread == 0 && p.with_lse)
        p.lse.set((b * p.num_heads + h) * p.q_len + i, top == none ? none : top + logf(sum));
    });
  }
  ATTNFUZZ_HOST_DEVICE float weight_of(int64_t n, float top) const {
    const float of_part = p.partial.at(partial_at(n));
    return of_part == none ? 0.0F : expf(of_part - top);
  }

  Block& block;
  const Params& p;
  int64_t dim, dim_v;
  Shared<float> q;
  Shared<T> k, v;
  Shared<float> scores, weights;
  Shared<int64_t> order;
  typename Block::template PerThread<float> max, kept, total, sums[columns];
  int64_t query, part, b, h, i, g;
};

}  // namespace attnfuzz::cuda
