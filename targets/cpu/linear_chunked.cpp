// Chunk by chunk, by matrix products: within a chunk the parallel form, between chunks the state
// (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training", with
// secondary chunks for decays by key; Yang et al. 2024, "Parallelizing Linear Transformers with the
// Delta Rule over Sequence Length", for the triangular system; Dao and Gu 2024, "Transformers are
// SSMs").
#include <Eigen/Dense>
#include <algorithm>

#include "targets/cpu/cpu.h"
#include "targets/cpu/linear_target.h"

namespace attnfuzz {
namespace {

constexpr int64_t chunk = 64;
constexpr int64_t block = 16;  // of a chunk, for decays by key

template <class Acc>
class Chunk {
 public:
  using Matrix = typename StateTokens<Acc>::Matrix;

  Chunk(StateTokens<Acc>& tokens, int64_t first)
      : tokens_(tokens), first_(first), size_(std::min(chunk, tokens.count - first)) {
    sum_gates();
  }

  void run(Matrix& state) {
    const Matrix k = tokens_.k.middleRows(first_, size_);
    Matrix u = tokens_.v.middleRows(first_, size_);
    if (tokens_.beta.cols() > 0) solve(k, state, u);
    for (size_t n = 0; n < tokens_.q.size(); ++n) {
      const Matrix q = tokens_.q[n].middleRows(first_, size_);
      auto out = tokens_.out[n].middleRows(first_, size_);
      out.noalias() = decayed_by(q, sums_) * state;
      out.noalias() += lower(q, k) * u;
    }
    carry(k, u, state);
  }

 private:
  /// Of the logarithms, from the chunk's first token to each; no columns without decays.
  void sum_gates() {
    sums_ = tokens_.gate.middleRows(tokens_.gate.cols() > 0 ? first_ : 0,
                                    tokens_.gate.cols() > 0 ? size_ : 0);
    for (int64_t t = 1; t < sums_.rows(); ++t) sums_.row(t) += sums_.row(t - 1);
  }

  /// x with its rows (or elements) multiplied by exp(sums).
  static Matrix decayed_by(const Matrix& x, const Matrix& sums) {
    if (sums.cols() == 0) return x;
    const Matrix decays = sums.array().exp();
    if (sums.cols() == x.cols()) return x.array() * decays.array();
    return x.array().colwise() * decays.col(0).array();
  }

  /// The lower triangle, diagonal included, of x kᵀ with the decays between its tokens.
  Matrix lower(const Matrix& x, const Matrix& k) const {
    if (sums_.cols() > 1) return lower_by_key(x, k);
    Matrix a(size_, size_);
    a.noalias() = x * k.transpose();
    for (int64_t t = 0; t < size_; ++t) {
      if (sums_.cols() > 0)
        a.row(t).head(t + 1).array() *=
            (sums_(t, 0) - sums_.col(0).head(t + 1).transpose().array()).exp();
      a.row(t).tail(size_ - t - 1).setZero();
    }
    return a;
  }

  /// Blocks off the diagonal by products, with decays from and to the block's first query: no
  /// factor is above 1.
  Matrix lower_by_key(const Matrix& x, const Matrix& k) const {
    Matrix a = Matrix::Zero(size_, size_);
    for (int64_t begin = 0; begin < size_; begin += block) {
      const int64_t rows = std::min(block, size_ - begin);
      if (begin > 0) {
        const auto origin = sums_.row(begin - 1);
        const Matrix of_x = sums_.middleRows(begin, rows).rowwise() - origin;
        const Matrix of_k = (-sums_.topRows(begin)).rowwise() + origin;
        a.block(begin, 0, rows, begin).noalias() = decayed_by(x.middleRows(begin, rows), of_x) *
                                                   decayed_by(k.topRows(begin), of_k).transpose();
      }
      for (int64_t t = begin; t < begin + rows; ++t)
        for (int64_t s = begin; s <= t; ++s)
          a(t, s) =
              (x.row(t).array() * k.row(s).array() * (sums_.row(t) - sums_.row(s)).array().exp())
                  .sum();
    }
    return a;
  }

  /// The delta rule: (I + L) u = beta (v − decayed k · state), where u comes in as v.
  void solve(const Matrix& k, const Matrix& state, Matrix& u) const {
    const auto beta = tokens_.beta.col(0).segment(first_, size_).array();
    u.noalias() -= decayed_by(k, sums_) * state;
    u.array().colwise() *= beta;
    Matrix l = lower(k, k);
    l.array().colwise() *= beta;
    l.template triangularView<Eigen::UnitLower>().solveInPlace(u);
  }

  void carry(const Matrix& k, const Matrix& u, Matrix& state) const {
    if (sums_.cols() == 0) {
      state.noalias() += k.transpose() * u;
      return;
    }
    const auto last = sums_.row(size_ - 1);
    const Matrix rest = (-sums_).rowwise() + last;
    if (sums_.cols() == 1)
      state *= std::exp(last(0));
    else
      state.array().colwise() *= last.transpose().array().exp();
    state.noalias() += decayed_by(k, rest).transpose() * u;
  }

  StateTokens<Acc>& tokens_;
  const int64_t first_, size_;
  Matrix sums_;
};

template <class Acc>
void chunked(StateTokens<Acc>& tokens, typename StateTokens<Acc>::Matrix& state) {
  for (int64_t first = 0; first < tokens.count; first += chunk)
    Chunk<Acc>(tokens, first).run(state);
}

}  // namespace

std::unique_ptr<Target> open_cpu_linear_chunked() {
  return std::make_unique<StateTarget>("cpu:linear-chunked",
                                       "attention with a state, in chunks of 64 tokens", chunk,
                                       StateKernels{chunked<float>, chunked<double>});
}

}  // namespace attnfuzz
