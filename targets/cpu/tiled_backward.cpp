#include "targets/cpu/tiled_backward.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "oracle/inputs.h"
#include "targets/cpu/vector_exp.h"

namespace attnfuzz {
namespace {

constexpr size_t query_tile = 32;
constexpr int64_t key_tile = 64;

/// `count` elements of T as accumulators.
template <class Accumulator, class T>
auto widened(const T* data, int64_t count) {
  return Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>(data, count)
      .template cast<Accumulator>();
}

template <class T>
const T* elements(const std::byte* data) {
  return reinterpret_cast<const T*>(data);
}

}  // namespace

template <class T>
TiledBackward<T>::TiledBackward(const Problem& problem, const Inputs& inputs, StepOutput& step)
    : p_(problem),
      grad_out_(inputs.at("grad_out").as<T>()),
      out_(step.out.as<T>()),
      step_(step),
      memory_(static_cast<size_t>(problem.num_kv_heads)),
      dsinks_(static_cast<size_t>(problem.num_heads), 0) {
  for (Side& side : memory_) {
    side.dk.setZero(p_.memory_kv, p_.head_dim);
    side.dv.setZero(p_.memory_kv, p_.head_dim_v);
  }
}

/// Of token s in a [batch, heads, len, dim] tensor in the problem's layout.
template <class T>
int64_t TiledBackward<T>::token_offset(int64_t heads, int64_t len, int64_t dim, int64_t b,
                                       int64_t h, int64_t s) const {
  return (p_.layout == Layout::bhsd ? (b * heads + h) * len + s : (b * len + s) * heads + h) * dim;
}

/// Row `row` as elements of an output, from element `at` on; nothing where it is not asked for.
template <class T>
void TiledBackward<T>::write(Output output, int64_t at, const Matrix& from, Eigen::Index row) {
  const auto found = step_.more.find(output);
  if (found == step_.more.end()) return;
  Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>(found->second.template as<T>() + at, from.cols()) =
      from.row(row).array().template cast<T>();
}

template <class T>
void TiledBackward<T>::load(const KeySegment& segment, Side& side) const {
  side.k.resize(segment.count, p_.head_dim);
  side.v.resize(segment.count, p_.head_dim_v);
  for (int64_t j = 0; j < segment.count; ++j) {
    side.k.row(j).array() =
        widened<Accumulator>(elements<T>(segment.k + j * segment.k_stride), p_.head_dim);
    side.v.row(j).array() =
        widened<Accumulator>(elements<T>(segment.v + j * segment.v_stride), p_.head_dim_v);
  }
}

template <class T>
void TiledBackward<T>::start(int64_t b, std::span<const QueryRow> rows, Tile& tile) const {
  const auto count = static_cast<Eigen::Index>(rows.size());
  tile.rows = rows;
  tile.q.resize(count, p_.head_dim);
  tile.grad_out.resize(count, p_.head_dim_v);
  tile.dq.setZero(count, p_.head_dim);
  tile.row_dots.resize(count);
  for (Eigen::Index r = 0; r < count; ++r) {
    const QueryRow& row = rows[static_cast<size_t>(r)];
    const int64_t at = token_offset(p_.num_heads, p_.q_len, p_.head_dim_v, b, row.head, row.query);
    tile.q.row(r).array() = widened<Accumulator>(elements<T>(row.q), p_.head_dim);
    tile.grad_out.row(r).array() = widened<Accumulator>(grad_out_ + at, p_.head_dim_v);
    tile.row_dots[r] =
        (tile.grad_out.row(r).array() * widened<Accumulator>(elements<T>(row.out), p_.head_dim_v))
            .sum();
  }
}

/// Row r of the dot products becomes P, 0 for hidden keys, and the scores' slopes beside it.
template <class T>
void TiledBackward<T>::weigh(const QueryRow& row, const KeySegment& segment, int64_t first,
                             Eigen::Index r) {
  auto p = scores_.row(r).array();
  auto slope = slopes_.row(r).array();
  const Eigen::Index count = p.size();
  slope.setOnes();
  const KeyRange tile{first, first + count};
  const KeyRange seen = segment.memory ? tile : row.keys.within(tile);
  if (seen.empty() || !std::isfinite(*row.lse)) {
    p.setZero();
    return;
  }
  const auto add_bias = [&](BiasOrder now) {
    if (segment.memory || p_.bias_order != now) return;
    if (row.bias != nullptr) {
      p += widened<Accumulator>(elements<T>(row.bias) + first, count);
    } else if (row.alibi != 0) {
      for (Eigen::Index j = 0; j < count; ++j)
        p[j] -= static_cast<Accumulator>(row.alibi) *
                static_cast<Accumulator>(std::abs(row.position - first - j));
    }
  };
  p *= static_cast<Accumulator>(p_.scale_value());
  add_bias(BiasOrder::before_softcap);
  if (const auto cap = static_cast<Accumulator>(p_.softcap); cap > 0) {
    p = (p / cap).tanh();
    slope = 1 - p.square();
    p *= cap;
  }
  add_bias(BiasOrder::after_softcap);
  for (Eigen::Index j = 0; j < count; ++j) {
    const int64_t at = first + j;
    const bool hidden =
        at < seen.begin || at >= seen.end ||
        (!segment.memory && row.mask != nullptr && elements<T>(row.mask)[at] == static_cast<T>(0));
    if (hidden) p[j] = -std::numeric_limits<Accumulator>::infinity();
  }
  exp_below(std::span(scores_.row(r).data(), static_cast<size_t>(count)),
            static_cast<Accumulator>(*row.lse));
}

template <class T>
void TiledBackward<T>::add_tile(int64_t b, Tile& tile, const KeySegment& segment, Side& side,
                                int64_t first, int64_t count) {
  const auto scale = static_cast<Accumulator>(p_.scale_value());
  const auto k = side.k.middleRows(first, count);
  const auto v = side.v.middleRows(first, count);
  scores_.noalias() = tile.q * k.transpose();
  dp_.noalias() = tile.grad_out * v.transpose();
  slopes_.resize(scores_.rows(), count);
  for (Eigen::Index r = 0; r < scores_.rows(); ++r) {
    const QueryRow& row = tile.rows[static_cast<size_t>(r)];
    weigh(row, segment, first, r);
    // A hidden key may hold anything: what is made of it is put away, not multiplied.
    dp_.row(r).array() = (scores_.row(r).array() == 0).select(0, dp_.row(r).array());
  }
  side.dv.middleRows(first, count).noalias() += scores_.transpose() * tile.grad_out;
  for (Eigen::Index r = 0; r < scores_.rows(); ++r) {
    const QueryRow& row = tile.rows[static_cast<size_t>(r)];
    auto ds = scores_.row(r).array();
    ds *= dp_.row(r).array() - tile.row_dots[r];
    const bool inside = p_.bias_order == BiasOrder::before_softcap;
    if (inside) ds *= slopes_.row(r).array();
    if (!segment.memory)
      write(Output::dbias,
            ((b * p_.num_heads + row.head) * p_.q_len + row.query) * p_.kv_len + first, scores_, r);
    if (!inside) ds *= slopes_.row(r).array();
  }
  tile.dq.noalias() += scale * (scores_ * k);
  side.dk.middleRows(first, count).noalias() += scale * (scores_.transpose() * tile.q);
}

template <class T>
void TiledBackward<T>::add(int64_t b, int64_t g, std::span<const QueryRow> rows,
                           const KeySegment& memory, const KeySegment& keys) {
  Side& shared = memory_[static_cast<size_t>(g)];
  Side own;
  load(memory, shared);
  load(keys, own);
  own.dk.setZero(keys.count, p_.head_dim);
  own.dv.setZero(keys.count, p_.head_dim_v);
  Tile tile;
  for (size_t begin = 0; begin < rows.size(); begin += query_tile) {
    start(b, rows.subspan(begin, std::min(query_tile, rows.size() - begin)), tile);
    const auto add_all = [&](const KeySegment& segment, Side& side, KeyRange range) {
      for (int64_t first = range.begin; first < range.end; first += key_tile)
        add_tile(b, tile, segment, side, first, std::min(key_tile, range.end - first));
    };
    KeyRange seen;  // by any row: what lies outside may hold anything
    for (const QueryRow& row : tile.rows) seen = seen.joined(row.keys);
    add_all(memory, shared, {0, memory.count});
    add_all(keys, own, seen.within({0, keys.count}));
    for (size_t r = 0; r < tile.rows.size(); ++r) {
      const QueryRow& row = tile.rows[r];
      const auto at = static_cast<Eigen::Index>(r);
      write(Output::dq, token_offset(p_.num_heads, p_.q_len, p_.head_dim, b, row.head, row.query),
            tile.dq, at);
      if (p_.sinks)
        dsinks_[static_cast<size_t>(row.head)] -=
            static_cast<Accumulator>(std::exp(row.sink - *row.lse)) * tile.row_dots[at];
    }
  }
  for (int64_t j = 0; j < keys.count; ++j) {
    write(Output::dk, token_offset(p_.num_kv_heads, p_.kv_len, p_.head_dim, b, g, j), own.dk, j);
    write(Output::dv, token_offset(p_.num_kv_heads, p_.kv_len, p_.head_dim_v, b, g, j), own.dv, j);
  }
}

template <class T>
void TiledBackward<T>::finish() {
  for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
    const Side& side = memory_[static_cast<size_t>(g)];
    for (int64_t j = 0; j < p_.memory_kv; ++j) {
      write(Output::dmem_k, (g * p_.memory_kv + j) * p_.head_dim, side.dk, j);
      write(Output::dmem_v, (g * p_.memory_kv + j) * p_.head_dim_v, side.dv, j);
    }
  }
  const Matrix sinks = Eigen::Map<const Matrix>(dsinks_.data(), 1, p_.num_heads);
  write(Output::dsinks, 0, sinks, 0);
}

template class TiledBackward<float>;
template class TiledBackward<double>;
template class TiledBackward<Eigen::half>;
template class TiledBackward<Eigen::bfloat16>;

}  // namespace attnfuzz
