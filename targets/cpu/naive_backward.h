#pragma once
#include <cstdint>
#include <span>

#include "targets/cpu/cpu_target.h"

namespace attnfuzz {

/// A key that a query sees, with its value; what is known of its score once that is computed.
template <class T>
struct Seen {
  int64_t j;  ///< which key, memory keys first
  const T* k;
  const T* v;
  T bias;
  T kept;  ///< dropout's factor: 0 or 1/keep
  T score = 0;
  T slope = 1;  ///< of the score in the scaled product
};

template <class T>
struct Softmax {
  T max, sum;  ///< of the scores and the sink
};

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// The gradients of plain attention, query by query.
template <class T>
class NaiveBackward {
 public:
  NaiveBackward(const Problem& problem, const Inputs& inputs);

  /// Adds what one query gives, from the scores of its forward pass.
  void add(int64_t b, int64_t h, int64_t i, std::span<const Seen<T>> seen,
           const Softmax<T>& softmax);
  /// Moves the gradients that are asked for to the output.
  void finish(StepOutput& step);

 private:
  T* key_row(Output tokens, Output memory, int64_t b, int64_t g, int64_t j, int64_t dim);

  const Problem& p_;
  View<const T> q_, grad_out_;
  const T* sinks_;
  std::map<Output, Tensor> gradients_;  ///< of all inputs
};

extern template class NaiveBackward<float>;
extern template class NaiveBackward<double>;

}  // namespace attnfuzz
