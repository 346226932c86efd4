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

void HeadKeys::reset(int64_t new_size, int64_t new_head_dim, int64_t new_head_dim_v, bool absolute,
                     bool inexact) {
  size = new_size;
  head_dim = new_head_dim;
  head_dim_v = new_head_dim_v;
  stride = padded(size);
  stride_v = padded(head_dim_v);
  k.assign(static_cast<size_t>(head_dim * stride), 0);
  v.assign(static_cast<size_t>(size * stride_v), 0);
  with_absolute = absolute;
  abs_k.assign(absolute ? k.size() : 0, 0);
  abs_v.assign(absolute ? v.size() : 0, 0);
  with_errors = absolute && inexact;
  error_k.assign(with_errors ? k.size() : 0, 0);
  error_v.assign(with_errors ? v.size() : 0, 0);
  largest_v.assign(static_cast<size_t>(stride_v), 0);
  k_norm = 0;
  specials.clear();
}

void HeadKeys::set(int64_t j, std::span<const double> key, std::span<const double> value,
                   const Sizes& sizes) {
  double* to = k.data() + j;
  for (size_t d = 0; d < key.size(); ++d) to[static_cast<int64_t>(d) * stride] = key[d];
  double* to_v = v.data() + j * stride_v;
  for (size_t d = 0; d < value.size(); ++d) {
    const bool finite = std::isfinite(value[d]);
    to_v[d] = finite ? value[d] : 0;
    if (!finite) specials.push_back({j, static_cast<int64_t>(d), value[d]});
  }
  if (!with_absolute) return;
  double* abs_to = abs_k.data() + j;
  double norm = 0;
  for (size_t d = 0; d < key.size(); ++d) {
    const double most = sizes.k.empty() ? std::abs(key[d]) : sizes.k[d];
    abs_to[static_cast<int64_t>(d) * stride] = most;
    norm += most;
    if (with_errors && !sizes.error_k.empty())
      error_k[d * static_cast<size_t>(stride) + static_cast<size_t>(j)] = sizes.error_k[d];
  }
  if (norm < inf) k_norm = std::max(k_norm, norm);
  double* abs_to_v = abs_v.data() + j * stride_v;
  for (size_t d = 0; d < value.size(); ++d) {
    abs_to_v[d] = sizes.v.empty() ? std::abs(to_v[d]) : sizes.v[d];
    largest_v[d] = std::max(largest_v[d], abs_to_v[d]);
    if (with_errors && !sizes.error_v.empty())
      error_v[static_cast<size_t>(j * stride_v) + d] = sizes.error_v[d];
  }
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
  for (size_t r = 0; r < queries.size(); ++r) softmax(keys, sink, queries[r], r);
  for (size_t r = 0; r < queries.size(); ++r) {
    if (queries[r].lse != nullptr) finish_lse(sink, queries[r], rows_[r]);
    if (queries[r].kept != nullptr) drop(queries[r], r);
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
  if (model_ == nullptr) return;
  abs_q_.resize(q_.size());
  for (size_t r = 0; r < queries.size(); ++r) {
    std::copy_n(queries[r].abs_q, keys.head_dim,
                abs_q_.begin() + static_cast<int64_t>(r) * keys.head_dim);
  }
  abs_s_.resize(size);
  w_.resize(size);
  multiply(m, keys.head_dim, width_, abs_q_.data(), keys.head_dim, keys.abs_k.data() + first_,
           keys.stride, abs_s_.data(), width_);
  if (!keys.with_errors) return;
  error_s_.resize(size);
  multiply(m, keys.head_dim, width_, abs_q_.data(), keys.head_dim, keys.error_k.data() + first_,
           keys.stride, error_s_.data(), width_);
}

void HeadAttention::multiply_values(const HeadKeys& keys) {
  const auto m = static_cast<int64_t>(rows_.size());
  const int64_t used = std::min(width_, keys.size - first_);
  const int64_t at = first_ * keys.stride_v;
  o_.resize(rows_.size() * static_cast<size_t>(keys.stride_v));
  multiply(m, used, keys.stride_v, p_.data(), width_, keys.v.data() + at, keys.stride_v, o_.data(),
           keys.stride_v);
  if (model_ == nullptr) return;
  abs_o_.resize(o_.size());
  multiply(m, used, keys.stride_v, w_.data(), width_, keys.abs_v.data() + at, keys.stride_v,
           abs_o_.data(), keys.stride_v);
  if (!keys.with_errors) return;
  error_o_.resize(o_.size());
  for (size_t n = 0; n < p_.size(); ++n) p_[n] += w_[n];
  multiply(m, used, keys.stride_v, p_.data(), width_, keys.error_v.data() + at, keys.stride_v,
           error_o_.data(), keys.stride_v);
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

void HeadAttention::softmax(const HeadKeys& keys, double sink, const Query& query, size_t r) {
  Row& row = rows_[r];
  const size_t at = r * static_cast<size_t>(width_);
  double* s = s_.data() + at;
  double* p = p_.data() + at;
  std::fill_n(p, width_, 0.0);
  if (model_ != nullptr) std::fill_n(w_.data() + at, width_, 0.0);
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
  if (model_ == nullptr) return;
  double q_norm = 0;
  for (int64_t d = 0; d < keys.head_dim; ++d) q_norm += query.abs_q[d];
  const double* bias = query.bias == nullptr || row.uniform ? nullptr : query.bias + first_;
  row.error = row_error(*model_,
                        {width_, query.visible + first_, s, abs_s_.data() + at,
                         keys.with_errors ? error_s_.data() + at : nullptr, bias, p, max, row.sum,
                         sink, q_norm, keys.k_norm, query.position},
                        w_.data() + at);
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

void HeadAttention::drop(const Query& query, size_t r) {
  const size_t at = r * static_cast<size_t>(width_);
  const double* kept = query.kept + first_;
  for (int64_t j = 0; j < width_; ++j) p_[at + static_cast<size_t>(j)] *= kept[j];
  if (model_ == nullptr) return;
  for (int64_t j = 0; j < width_; ++j) w_[at + static_cast<size_t>(j)] *= kept[j];
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
  if (model_ != nullptr) {
    double* weighted = abs_o_.data() + at;
    if (keys.with_errors)
      for (int64_t d = 0; d < keys.head_dim_v; ++d)
        weighted[d] += error_o_[at + static_cast<size_t>(d)];
    for (int64_t d = 0; d < keys.head_dim_v; ++d) weighted[d] *= per_sum;
    element_bounds(*model_, row.error, keys.head_dim_v, query.out, weighted, keys.largest_v.data(),
                   query.bound);
  }
  if (!keys.specials.empty()) add_specials(keys, query, r);
}

/// The infinities and NaNs of v that the query sees. Where p may underflow in the target, 0 · inf
/// can not be told from p · inf, and the element is unchecked.
void HeadAttention::add_specials(const HeadKeys& keys, const Query& query, size_t r) const {
  const double* p = p_.data() + r * static_cast<size_t>(width_);
  const double* w = model_ == nullptr ? nullptr : w_.data() + r * static_cast<size_t>(width_);
  for (const HeadKeys::Special& special : keys.specials) {
    if (query.visible[special.j] == 0) continue;
    const int64_t j = special.j - first_;
    query.out[special.d] += p[j] * special.value;
    if (model_ == nullptr) continue;
    const bool sure = std::isnan(special.value) || p[j] - w[j] > model_->sure_p * rows_[r].sum;
    double& bound = query.bound[special.d];
    if (!sure) bound = inf;
    if (bound < inf) bound = 0;
  }
}

}  // namespace attnfuzz
