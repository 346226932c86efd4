#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "oracle/case.h"

namespace attnfuzz {

/// The score of a query and a key.
template <class T>
T score_of(const Problem& p, const T* q, const T* k, T bias) {
  T s = 0;
  for (int64_t d = 0; d < p.head_dim; ++d) s += q[d] * k[d];
  s *= static_cast<T>(p.scale_value());
  const auto cap = static_cast<T>(p.softcap);
  if (p.bias_order == BiasOrder::before_softcap) s += bias;
  if (cap > 0) s = cap * std::tanh(s / cap);
  return p.bias_order == BiasOrder::after_softcap ? s + bias : s;
}

/// One query's online softmax.
template <class T>
class OnlineRow {
 public:
  OnlineRow(const Problem& p, const T* sink, T* out) : p_(p), out_(out) {
    std::fill_n(out, p.head_dim_v, T{0});
    if (sink == nullptr) return;
    max_ = *sink;
    sum_ = 1;
  }

  void add(T score, const T* v) {
    if (score > max_) {
      const T factor = std::exp(max_ - score);
      sum_ *= factor;
      for (int64_t d = 0; d < p_.head_dim_v; ++d) out_[d] *= factor;
      max_ = score;
    }
    const T weight = std::exp(score - max_);
    sum_ += weight;
    for (int64_t d = 0; d < p_.head_dim_v; ++d) out_[d] += weight * v[d];
  }

  void finish(T* lse) {
    const bool empty = sum_ == 0;
    const T none = p_.fully_masked == FullyMasked::nan ? std::numeric_limits<T>::quiet_NaN() : T{0};
    for (int64_t d = 0; d < p_.head_dim_v; ++d) out_[d] = empty ? none : out_[d] / sum_;
    if (lse != nullptr) *lse = max_ + std::log(sum_);
  }

 private:
  const Problem& p_;
  T* out_;
  T max_ = -std::numeric_limits<T>::infinity(), sum_ = 0;
};

}  // namespace attnfuzz
