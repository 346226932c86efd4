#include "targets/cpu/block.h"

#include <algorithm>
#include <cmath>

#include "targets/cpu/vector_exp.h"

namespace attnfuzz {
namespace {

template <class T>
const T* elements(const std::byte* data) {
  return reinterpret_cast<const T*>(data);
}

/// `count` elements of T as an array expression.
template <class T>
auto array(const std::byte* data, int64_t count) {
  return Eigen::Map<const Eigen::Array<T, 1, Eigen::Dynamic>>(elements<T>(data), count);
}

}  // namespace

template <class T>
Block<T>::Block(const Problem& problem)
    : problem_(problem),
      scale_(static_cast<Accumulator>(problem.scale_value())),
      softcap_(static_cast<Accumulator>(problem.softcap)) {}

template <class T>
void Block<T>::start(std::span<const QueryRow> rows) {
  rows_.assign(rows.begin(), rows.end());
  running_.assign(rows.size(), {-std::numeric_limits<Accumulator>::infinity(), 0});
  range_ = sinks_ = {};
  const auto n = static_cast<Eigen::Index>(rows.size());
  q_.resize(n, problem_.head_dim);
  out_.setZero(n, problem_.head_dim_v);
  for (Eigen::Index r = 0; r < n; ++r) {
    const QueryRow& row = rows[static_cast<size_t>(r)];
    range_ = range_.joined(row.keys);
    sinks_ = sinks_.joined(row.sink_keys);
    q_.row(r).array() = array<T>(row.q, problem_.head_dim).template cast<Accumulator>();
  }
}

template <class T>
auto Block<T>::widen(const std::byte* data, int64_t count, int64_t dim, int64_t stride,
                     Matrix& scratch) -> View {
  if constexpr (std::is_same_v<T, Accumulator>) {
    return View(elements<T>(data), count, dim,
                Eigen::OuterStride<>(stride / static_cast<int64_t>(sizeof(T))));
  } else {
    if (scratch.rows() < count) scratch.resize(key_tile, dim);
    for (int64_t j = 0; j < count; ++j)
      scratch.row(j).array() = array<T>(data + j * stride, dim).template cast<Accumulator>();
    return View(scratch.data(), count, dim, Eigen::OuterStride<>(dim));
  }
}

template <class T>
KeyRange Block<T>::seen_by(const QueryRow& row, const KeySegment& segment) {
  return segment.sink ? row.sink_keys : row.keys;
}

template <class T>
void Block<T>::add(const KeySegment& segment) {
  const KeyRange held{segment.first, segment.first + segment.count};
  const KeyRange range = segment.memory ? held : held.within(segment.sink ? sinks_ : range_);
  for (int64_t from = range.begin; from < range.end; from += key_tile)
    add_tile(segment, from, std::min(key_tile, range.end - from));
}

template <class T>
void Block<T>::add_tile(const KeySegment& segment, int64_t from, int64_t count) {
  const KeyRange tile{from, from + count};
  const auto sees = [&](const QueryRow& row) {
    return !seen_by(row, segment).within(tile).empty();
  };
  if (!segment.memory && std::none_of(rows_.begin(), rows_.end(), sees)) return;

  const int64_t at = from - segment.first;
  const View k = widen(segment.k + at * segment.k_stride, count, problem_.head_dim,
                       segment.k_stride, k_scratch_);
  scores_.noalias() = q_ * k.transpose();
  for (size_t r = 0; r < rows_.size(); ++r) {
    const KeyRange seen = segment.memory ? tile : seen_by(rows_[r], segment).within(tile);
    weigh(r, segment, from, seen, count);
  }
  const View v = widen(segment.v + at * segment.v_stride, count, problem_.head_dim_v,
                       segment.v_stride, v_scratch_);
  out_.noalias() += scores_ * v;
}

template <class T>
template <class Scores>
void Block<T>::add_bias(const QueryRow& row, int64_t first, Scores&& scores) const {
  if (row.bias != nullptr) {
    const std::byte* from = row.bias + first * static_cast<int64_t>(sizeof(T));
    scores += array<T>(from, scores.size()).template cast<Accumulator>();
  } else if (row.alibi != 0) {
    const auto slope = static_cast<Accumulator>(row.alibi);
    for (Eigen::Index j = 0; j < scores.size(); ++j)
      scores[j] -= slope * static_cast<Accumulator>(std::abs(row.position - first - j));
  }
}

/// Turns row r of the tile's dot products into softmax weights, 0 for keys outside `seen`, and
/// rescales what the row has so far if its maximum rose.
template <class T>
void Block<T>::weigh(size_t r, const KeySegment& segment, int64_t first, KeyRange seen,
                     int64_t count) {
  constexpr auto hidden = -std::numeric_limits<Accumulator>::infinity();
  const QueryRow& row = rows_[r];
  Running& running = running_[r];
  auto all = scores_.row(static_cast<Eigen::Index>(r)).array();
  if (seen.empty()) {
    all.setZero();
    return;
  }
  auto scores = all.segment(seen.begin - first, seen.end - seen.begin);
  const bool biased = !segment.memory;
  scores *= scale_;
  if (biased && problem_.bias_order == BiasOrder::before_softcap) add_bias(row, seen.begin, scores);
  if (softcap_ > 0) scores = softcap_ * (scores / softcap_).tanh();
  if (biased && problem_.bias_order == BiasOrder::after_softcap) add_bias(row, seen.begin, scores);
  const bool masked = row.mask != nullptr && !segment.memory;
  if (masked) {
    const std::byte* from = row.mask + seen.begin * static_cast<int64_t>(sizeof(T));
    scores = (array<T>(from, scores.size()).template cast<Accumulator>() == Accumulator{0})
                 .select(hidden, scores);
  }
  const Accumulator max = std::max(running.max, scores.maxCoeff());
  if (max == hidden) {
    all.setZero();
    return;
  }
  exp_below(std::span(scores.data(), static_cast<size_t>(scores.size())), max);
  all.head(seen.begin - first).setZero();
  all.tail(first + count - seen.end).setZero();
  if (max != running.max) {
    const Accumulator kept = std::exp(running.max - max);
    running.sum *= kept;
    out_.row(static_cast<Eigen::Index>(r)) *= kept;
    running.max = max;
  }
  running.sum += scores.sum();
}

template <class T>
void Block<T>::merge(const Block& other) {
  for (size_t r = 0; r < rows_.size(); ++r) {
    Running& mine = running_[r];
    const Running& theirs = other.running_[r];
    const Accumulator max = std::max(mine.max, theirs.max);
    if (max == -std::numeric_limits<Accumulator>::infinity()) continue;
    const Accumulator keep = std::exp(mine.max - max), take = std::exp(theirs.max - max);
    const auto at = static_cast<Eigen::Index>(r);
    out_.row(at) = keep * out_.row(at) + take * other.out_.row(at);
    mine = {max, keep * mine.sum + take * theirs.sum};
  }
}

template <class T>
void Block<T>::finish() {
  constexpr auto none = -std::numeric_limits<Accumulator>::infinity();
  for (size_t r = 0; r < rows_.size(); ++r) {
    auto out = out_.row(static_cast<Eigen::Index>(r)).array();
    const auto sink = static_cast<Accumulator>(rows_[r].sink);
    Running& running = running_[r];
    const Accumulator max = std::max(running.max, sink);
    if (rows_[r].lse != nullptr)
      *rows_[r].lse =
          max == none
              ? none
              : max + std::log(std::exp(running.max - max) * running.sum + std::exp(sink - max));
    if (max == none) {  // fully masked: `out` is still zero
      if (problem_.fully_masked == FullyMasked::nan)
        out.setConstant(std::numeric_limits<Accumulator>::quiet_NaN());
    } else {
      const Accumulator kept = std::exp(running.max - max);
      out *= kept / (kept * running.sum + std::exp(sink - max));
    }
    Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>>(reinterpret_cast<T*>(rows_[r].out),
                                                   problem_.head_dim_v) = out.template cast<T>();
  }
}

template class Block<float>;
template class Block<double>;
template class Block<Eigen::half>;
template class Block<Eigen::bfloat16>;

}  // namespace attnfuzz
