#include "oracle/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "oracle/matrix.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t tile_rows = 64;

}  // namespace

void HeadKeys::reset(int64_t new_size, int64_t new_head_dim, int64_t new_head_dim_v, Bounds bounds,
                     bool inexact) {
  size = new_size;
  head_dim = new_head_dim;
  head_dim_v = new_head_dim_v;
  stride = padded(size);
  stride_v = padded(head_dim_v);
  bounded_ = bounds != Bounds::none;
  with_errors = bounded_ && inexact;
  const auto keys = static_cast<size_t>(head_dim * stride);
  const auto values = static_cast<size_t>(size * stride_v);
  k.resize(keys);
  v.assign(values, 0);
  if (bounds == Bounds::in_float && sizes.index() != 0) sizes.emplace<0>();
  if (bounds == Bounds::in_double && sizes.index() != 1) sizes.emplace<1>();
  const auto make_room = [&](auto& of) {
    of.k.resize(bounded_ ? keys : 0);
    of.v.assign(bounded_ ? values : 0, 0);
    of.error_k.resize(with_errors ? keys : 0);
    of.error_v.assign(with_errors ? values : 0, 0);
  };
  std::visit(make_room, sizes);
  const auto waiting = static_cast<size_t>(head_dim * lane);
  for (std::vector<double>* each : {&waiting_, &waiting_size_, &waiting_error_})
    each->assign(waiting, 0);
  largest_v.assign(static_cast<size_t>(stride_v), 0);
  k_norm = 0;
  specials.clear();
}

void HeadKeys::set(int64_t j, std::span<const double> key, std::span<const double> value,
                   const Sizes& given) {
  set_key(j, key, given);
  set_value(j, value, given);
  if (j % lane == lane - 1 || j + 1 == size) transpose(j / lane * lane);
}

void HeadKeys::set_key(int64_t j, std::span<const double> key, const Sizes& given) {
  const auto at = static_cast<size_t>(j % lane);
  constexpr auto step = static_cast<size_t>(lane);
  for (size_t d = 0; d < key.size(); ++d) waiting_[d * step + at] = key[d];
  if (!bounded_) return;
  double norm = 0;
  for (size_t d = 0; d < key.size(); ++d) {
    const double most = given.k.empty() ? std::abs(key[d]) : given.k[d];
    waiting_size_[d * step + at] = most;
    norm += most;
  }
  if (norm < inf) k_norm = std::max(k_norm, norm);
  if (!with_errors) return;
  for (size_t d = 0; d < key.size(); ++d)
    waiting_error_[d * step + at] = given.error_k.empty() ? 0 : given.error_k[d];
}

void HeadKeys::set_value(int64_t j, std::span<const double> value, const Sizes& given) {
  double* to = v.data() + j * stride_v;
  for (size_t d = 0; d < value.size(); ++d) {
    const bool finite = std::isfinite(value[d]);
    to[d] = finite ? value[d] : 0;
    if (!finite) specials.push_back({j, static_cast<int64_t>(d), value[d]});
  }
  if (!bounded_) return;
  std::visit(
      [&]<class T>(KeySizes<T>& of) {
        T* size_to = of.v.data() + j * stride_v;
        for (size_t d = 0; d < value.size(); ++d) {
          const double most = given.v.empty() ? std::abs(to[d]) : given.v[d];
          size_to[d] = as_size<T>(most);
          largest_v[d] = std::max(largest_v[d], most);
        }
        if (!with_errors || given.error_v.empty()) return;
        T* error_to = of.error_v.data() + j * stride_v;
        for (size_t d = 0; d < value.size(); ++d) error_to[d] = as_size<T>(given.error_v[d]);
      },
      sizes);
}

/// Puts the waiting keys in their places, from `first` on; what is behind the last one is 0.
void HeadKeys::transpose(int64_t first) {
  for (int64_t d = 0; d < head_dim; ++d)
    std::copy_n(waiting_.data() + d * lane, lane, k.data() + d * stride + first);
  if (bounded_) {
    std::visit(
        [&]<class T>(KeySizes<T>& of) {
          for (int64_t n = 0; n < head_dim * lane; ++n) {
            const int64_t to = n / lane * stride + first + n % lane;
            of.k[static_cast<size_t>(to)] = as_size<T>(waiting_size_[static_cast<size_t>(n)]);
            if (with_errors)
              of.error_k[static_cast<size_t>(to)] =
                  as_size<T>(waiting_error_[static_cast<size_t>(n)]);
          }
        },
        sizes);
  }
  for (std::vector<double>* each : {&waiting_, &waiting_size_, &waiting_error_})
    std::fill(each->begin(), each->end(), 0.0);
}

HeadAttention::HeadAttention(const Problem& problem, const ErrorModel* model)
    : problem_(problem), model_(model) {}

void HeadAttention::run(const HeadKeys& keys, double sink, std::span<const Query> queries) {
  for (size_t first = 0; first < queries.size(); first += tile_rows) {
    tile(keys, sink, queries.subspan(first, std::min(tile_rows, queries.size() - first)));
  }
}

void HeadAttention::tile(const HeadKeys& keys, double sink, std::span<const Query> queries) {
  rows_.clear();
  for (const Query& query : queries) {
    rows_.push_back(plan(keys, sink, query));
    if (rows_.back().uniform) std::fill_n(query.visible, keys.size, uint8_t{1});
  }
  find_range(keys, queries);
  multiply_keys(keys, queries);
  const auto bound = [&](size_t r) {
    std::visit([&]<class T>(const KeySizes<T>&) { bound_row<T>(keys, sink, queries[r], r); },
               keys.sizes);
  };
  for (size_t r = 0; r < queries.size(); ++r) {
    softmax(sink, queries[r], r);
    if (model_ != nullptr) bound(r);
  }
  for (size_t r = 0; r < queries.size(); ++r) {
    if (queries[r].lse != nullptr) finish_lse(sink, queries[r], rows_[r]);
    if (queries[r].kept != nullptr) drop(keys, queries[r], r);
  }
  multiply_values(keys);
  for (size_t r = 0; r < queries.size(); ++r) finish(keys, queries[r], r);
}

HeadAttention::Row HeadAttention::plan(const HeadKeys& keys, double sink,
                                       const Query& query) const {
  Row row;
  const uint8_t* begin = query.visible;
  const uint8_t* end = begin + keys.size;
  row.sums = std::find(begin, end, uint8_t{1}) != end;
  if (row.sums || sink > -inf) return row;
  const FullyMasked gives = problem_.fully_masked;
  row.uniform = row.sums = gives == FullyMasked::uniform && keys.size > 0;
  row.unchecked = gives == FullyMasked::any;
  if (gives == FullyMasked::nan || gives == FullyMasked::uniform) row.constant = nan;
  return row;
}

/// Only keys that some query of the tile sees are worked on.
void HeadAttention::find_range(const HeadKeys& keys, std::span<const Query> queries) {
  int64_t first = keys.size, last = 0;
  for (const Query& query : queries) {
    const uint8_t* begin = query.visible;
    const uint8_t* end = begin + keys.size;
    first = std::min(first, std::find(begin, end, uint8_t{1}) - begin);
    while (end != begin + last && end[-1] == 0) --end;
    last = std::max(last, end - begin);
  }
  // In a narrow type a hidden score may overflow and still do harm.
  if (model_ != nullptr && model_->max_score < 1e30) {
    first = 0;
    last = keys.size;
  }
  first_ = std::min(first, last) / lane * lane;
  width_ = padded(last) - first_;
}

void HeadAttention::multiply_keys(const HeadKeys& keys, std::span<const Query> queries) {
  const auto m = static_cast<int64_t>(queries.size());
  const size_t size = queries.size() * static_cast<size_t>(width_);
  q_.resize(queries.size() * static_cast<size_t>(keys.head_dim));
  for (size_t r = 0; r < queries.size(); ++r) {
    std::copy_n(queries[r].q, keys.head_dim, q_.begin() + static_cast<int64_t>(r) * keys.head_dim);
  }
  s_.resize(size);
  p_.resize(size);
  multiply(m, keys.head_dim, width_, q_.data(), keys.head_dim, keys.k.data() + first_, keys.stride,
           s_.data(), width_);
  if (model_ != nullptr)
    std::visit([&](const auto& sizes) { multiply_key_sizes(keys, sizes, queries); }, keys.sizes);
}

template <class T>
void HeadAttention::multiply_key_sizes(const HeadKeys& keys, const KeySizes<T>& sizes,
                                       std::span<const Query> queries) {
  TileSizes<T>& tile = std::get<TileSizes<T>>(sizes_);
  const auto m = static_cast<int64_t>(queries.size());
  tile.q.resize(q_.size());
  auto to = tile.q.begin();
  for (const Query& query : queries)
    to = std::transform(query.abs_q, query.abs_q + keys.head_dim, to, as_size<T>);
  tile.s.resize(s_.size());
  tile.w.resize(s_.size());
  multiply(m, keys.head_dim, width_, tile.q.data(), keys.head_dim, sizes.k.data() + first_,
           keys.stride, tile.s.data(), width_);
  if (!keys.with_errors) return;
  tile.error_s.resize(s_.size());
  multiply(m, keys.head_dim, width_, tile.q.data(), keys.head_dim, sizes.error_k.data() + first_,
           keys.stride, tile.error_s.data(), width_);
}

void HeadAttention::multiply_values(const HeadKeys& keys) {
  const auto m = static_cast<int64_t>(rows_.size());
  const int64_t used = std::min(width_, keys.size - first_);
  o_.resize(rows_.size() * static_cast<size_t>(keys.stride_v));
  multiply(m, used, keys.stride_v, p_.data(), width_, keys.v.data() + first_ * keys.stride_v,
           keys.stride_v, o_.data(), keys.stride_v);
  if (model_ != nullptr)
    std::visit([&](const auto& sizes) { multiply_value_sizes(keys, sizes); }, keys.sizes);
}

template <class T>
void HeadAttention::multiply_value_sizes(const HeadKeys& keys, const KeySizes<T>& sizes) {
  TileSizes<T>& tile = std::get<TileSizes<T>>(sizes_);
  const auto m = static_cast<int64_t>(rows_.size());
  const int64_t used = std::min(width_, keys.size - first_);
  const int64_t at = first_ * keys.stride_v;
  tile.o.resize(o_.size());
  multiply(m, used, keys.stride_v, tile.w.data(), width_, sizes.v.data() + at, keys.stride_v,
           tile.o.data(), keys.stride_v);
  if (!keys.with_errors) return;
  tile.error_o.resize(o_.size());
  tile.both.resize(p_.size());
  for (size_t n = 0; n < p_.size(); ++n)
    tile.both[n] = as_size<T>(p_[n] + static_cast<double>(tile.w[n]));
  multiply(m, used, keys.stride_v, tile.both.data(), width_, sizes.error_v.data() + at,
           keys.stride_v, tile.error_o.data(), keys.stride_v);
}

/// From the dot products in s; −inf for hidden keys.
void HeadAttention::scores(const Query& query, bool uniform, double* s) const {
  const uint8_t* visible = query.visible + first_;
  const double scale = uniform ? 0 : problem_.scale_value(), cap = problem_.softcap;
  for (int64_t j = 0; j < width_; ++j) s[j] = visible[j] != 0 ? scale * s[j] : -inf;
  if (uniform) {
    for (int64_t j = 0; j < width_; ++j) s[j] = visible[j] != 0 ? 0 : -inf;
    return;
  }
  const auto add_bias = [&](BiasOrder now) {
    if (query.bias == nullptr || problem_.bias_order != now) return;
    for (int64_t j = 0; j < width_; ++j) s[j] += query.bias[first_ + j];
  };
  add_bias(BiasOrder::before_softcap);
  if (cap > 0) {
    for (int64_t j = 0; j < width_; ++j) {
      if (visible[j] != 0) s[j] = cap * std::tanh(s[j] / cap);
    }
  }
  add_bias(BiasOrder::after_softcap);
}

void HeadAttention::softmax(double sink, const Query& query, size_t r) {
  Row& row = rows_[r];
  const size_t at = r * static_cast<size_t>(width_);
  double* s = s_.data() + at;
  double* p = p_.data() + at;
  std::fill_n(p, width_, 0.0);
  if (!row.sums) return;
  scores(query, row.uniform, s);
  double max = sink;
  bool is_nan = false;
  for (int64_t j = 0; j < width_; ++j) {
    max = s[j] > max ? s[j] : max;
    is_nan |= std::isnan(s[j]);
  }
  if (is_nan || std::isinf(max)) {
    row.sums = false;
    row.constant = nan;
    return;
  }
  row.max = max;
  row.sum = exponentials(width_, s, max, p) + (sink > -inf ? std::exp(sink - max) : 0);
}

/// Bounds the weights of row r.
template <class T>
void HeadAttention::bound_row(const HeadKeys& keys, double sink, const Query& query, size_t r) {
  Row& row = rows_[r];
  TileSizes<T>& tile = std::get<TileSizes<T>>(sizes_);
  const auto width = static_cast<size_t>(width_), at = r * width;
  T* w = tile.w.data() + at;
  if (!row.sums) {
    std::fill_n(w, width, T{0});
    return;
  }
  const SumOfSizes<T> of(keys.head_dim);
  row_abs_.resize(width);
  row_w_.resize(width);
  for (size_t j = 0; j < width; ++j) row_abs_[j] = of(tile.s[at + j]);
  row_error_.resize(keys.with_errors ? width : 0);
  for (size_t j = 0; j < row_error_.size(); ++j) row_error_[j] = of(tile.error_s[at + j]);
  double q_norm = 0;
  for (int64_t d = 0; d < keys.head_dim; ++d) q_norm += query.abs_q[d];
  const double* bias = query.bias == nullptr || row.uniform ? nullptr : query.bias + first_;
  row.error = row_error(*model_,
                        {width_, query.visible + first_, s_.data() + at, row_abs_.data(),
                         keys.with_errors ? row_error_.data() : nullptr, bias, p_.data() + at,
                         row.max, row.sum, sink, q_norm, keys.k_norm, query.position},
                        row_w_.data());
  std::transform(row_w_.begin(), row_w_.end(), w, as_size<T>);
}

/// Where no key is seen, and where the answer is NaN, implementations differ: unchecked.
void HeadAttention::finish_lse(double sink, const Query& query, const Row& row) const {
  const bool sink_alone = !row.sums && sink > -inf && row.constant == 0;
  const bool by_formula = row.sums && !row.uniform;
  const double log_sum = by_formula ? std::log(row.sum) : 0, max = by_formula ? row.max : sink;
  *query.lse = max + log_sum;
  if (query.lse_bound == nullptr) return;
  *query.lse_bound = by_formula || sink_alone ? lse_bound(*model_, row.error, max, log_sum) : inf;
}

void HeadAttention::drop(const HeadKeys& keys, const Query& query, size_t r) {
  const size_t at = r * static_cast<size_t>(width_);
  const double* kept = query.kept + first_;
  const auto multiply_with = [&]<class T>(std::vector<T>& of) {
    for (int64_t j = 0; j < width_; ++j) {
      const size_t n = at + static_cast<size_t>(j);
      of[n] = as_size<T>(static_cast<double>(of[n]) * kept[j]);
    }
  };
  multiply_with(p_);
  if (model_ == nullptr) return;
  std::visit([&]<class T>(const KeySizes<T>&) { multiply_with(std::get<TileSizes<T>>(sizes_).w); },
             keys.sizes);
}

void HeadAttention::finish(const HeadKeys& keys, const Query& query, size_t r) {
  const Row& row = rows_[r];
  if (!row.sums) {
    std::fill_n(query.out, keys.head_dim_v, row.constant);
    if (model_ != nullptr) std::fill_n(query.bound, keys.head_dim_v, row.unchecked ? inf : 0.0);
    return;
  }
  const double per_sum = 1 / row.sum;
  const size_t at = r * static_cast<size_t>(keys.stride_v);
  for (int64_t d = 0; d < keys.head_dim_v; ++d)
    query.out[d] = o_[at + static_cast<size_t>(d)] * per_sum;
  std::visit(
      [&]<class T>(const KeySizes<T>&) {
        if (model_ != nullptr) bound_elements<T>(keys, query, r);
        if (!keys.specials.empty()) add_specials<T>(keys, query, r);
      },
      keys.sizes);
}

template <class T>
void HeadAttention::bound_elements(const HeadKeys& keys, const Query& query, size_t r) {
  const TileSizes<T>& tile = std::get<TileSizes<T>>(sizes_);
  const double per_sum = 1 / rows_[r].sum;
  const size_t at = r * static_cast<size_t>(keys.stride_v);
  const SumOfSizes<T> of(width_);
  row_abs_.resize(static_cast<size_t>(keys.head_dim_v));
  for (size_t d = 0; d < row_abs_.size(); ++d) {
    row_abs_[d] = of(tile.o[at + d]);
    if (keys.with_errors) row_abs_[d] += of(tile.error_o[at + d]);
    row_abs_[d] *= per_sum;
  }
  element_bounds(*model_, rows_[r].error, keys.head_dim_v, query.out, row_abs_.data(),
                 keys.largest_v.data(), query.bound);
}

/// The infinities and NaNs of v that the query sees. Where p may underflow in the target, 0 · inf
/// can not be told from p · inf, and the element is unchecked.
template <class T>
void HeadAttention::add_specials(const HeadKeys& keys, const Query& query, size_t r) const {
  const double* p = p_.data() + r * static_cast<size_t>(width_);
  const TileSizes<T>& tile = std::get<TileSizes<T>>(sizes_);
  const T* w = model_ == nullptr ? nullptr : tile.w.data() + r * static_cast<size_t>(width_);
  for (const HeadKeys::Special& special : keys.specials) {
    if (query.visible[special.j] == 0) continue;
    const int64_t j = special.j - first_;
    query.out[special.d] += p[j] * special.value;
    if (model_ == nullptr) continue;
    const bool sure = std::isnan(special.value) ||
                      p[j] - static_cast<double>(w[j]) > model_->sure_p * rows_[r].sum;
    double& bound = query.bound[special.d];
    if (!sure) bound = inf;
    if (bound < inf) bound = 0;
  }
}

}  // namespace attnfuzz
