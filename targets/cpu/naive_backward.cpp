#include "targets/cpu/naive_backward.h"

#include <cmath>
#include <utility>
#include <vector>

namespace attnfuzz {

template <class T>
NaiveBackward<T>::NaiveBackward(const Problem& problem, const Inputs& inputs)
    : p_(problem),
      q_(view_in<T>(problem.layout, inputs.at("q"))),
      grad_out_(view_in<T>(problem.layout, inputs.at("grad_out"))),
      sinks_(optional_data<T>(inputs, "sinks")) {
  for (size_t k = static_cast<size_t>(Output::dq); k < names_of<Output>.size(); ++k) {
    const auto output = static_cast<Output>(k);
    const OutputSpec spec = output_spec(p_, output, p_.q_len);
    gradients_.emplace(output, Tensor(spec.dtype, spec.shape));
  }
}

/// Where the gradient of key j goes.
template <class T>
T* NaiveBackward<T>::key_row(Output tokens, Output memory, int64_t b, int64_t g, int64_t j,
                             int64_t dim) {
  if (j < p_.memory_kv)
    return gradients_.at(memory).template as<T>() + (g * p_.memory_kv + j) * dim;
  Tensor& tensor = gradients_.at(tokens);
  return view_in(p_.layout, tensor.shape, tensor.as<T>()).at(b, g, j - p_.memory_kv);
}

template <class T>
void NaiveBackward<T>::add(int64_t b, int64_t h, int64_t i, std::span<const Seen<T>> seen,
                           const Softmax<T>& softmax) {
  const auto scale = static_cast<T>(p_.scale_value());
  const int64_t g = p_.kv_head(h);
  const T* q = q_.at(b, h, i);
  const T* grad_out = grad_out_.at(b, h, i);
  Tensor& dq_tensor = gradients_.at(Output::dq);
  T* dq = view_in(p_.layout, dq_tensor.shape, dq_tensor.as<T>()).at(b, h, i);
  T* dbias = gradients_.at(Output::dbias).template as<T>() +
             ((b * p_.num_heads + h) * p_.q_len + i) * p_.kv_len;

  std::vector<T> p, dp;
  T row_dot = 0;
  for (const Seen<T>& key : seen) {
    p.push_back(std::exp(key.score - softmax.max) / softmax.sum);
    dp.push_back(key.kept * dot(grad_out, key.v, p_.head_dim_v));
    row_dot += p.back() * dp.back();
  }
  for (size_t n = 0; n < seen.size(); ++n) {
    const Seen<T>& key = seen[n];
    const T ds = p[n] * (dp[n] - row_dot), dz = ds * key.slope;
    T* dk = key_row(Output::dk, Output::dmem_k, b, g, key.j, p_.head_dim);
    T* dv = key_row(Output::dv, Output::dmem_v, b, g, key.j, p_.head_dim_v);
    for (int64_t d = 0; d < p_.head_dim; ++d) {
      dq[d] += scale * dz * key.k[d];
      dk[d] += scale * dz * q[d];
    }
    for (int64_t d = 0; d < p_.head_dim_v; ++d) dv[d] += p[n] * key.kept * grad_out[d];
    if (key.j >= p_.memory_kv)
      dbias[key.j - p_.memory_kv] = p_.bias_order == BiasOrder::before_softcap ? dz : ds;
  }
  if (sinks_)
    gradients_.at(Output::dsinks).template as<T>()[h] -=
        std::exp(sinks_[h] - softmax.max) / softmax.sum * row_dot;
}

template <class T>
void NaiveBackward<T>::finish(StepOutput& step) {
  for (auto& [output, tensor] : gradients_)
    if (p_.asks(output)) step.more[output] = std::move(tensor);
}

template class NaiveBackward<float>;
template class NaiveBackward<double>;

}  // namespace attnfuzz
