#include "oracle/matrix.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds "uninitialized" operands in its own AVX-512 headers (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <Eigen/Core>
#include <algorithm>

namespace attnfuzz {
namespace {

/// Below this many multiplications plain loops beat Eigen's packing. With few rows too; moreover,
/// for a single row Eigen's sums would depend on where the row lies in memory.
bool is_small(int64_t m, int64_t k, int64_t n) {
  return m < 4 || m * k * n < 1 << 15;
}

/// Eigen's exp gives no smaller numbers than e to this power.
constexpr double smallest_exponent = -708;

using Stride = Eigen::OuterStride<>;
template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using In = Eigen::Map<const Matrix<T>, 0, Stride>;
template <class T>
using Out = Eigen::Map<Matrix<T>, 0, Stride>;

template <class T>
void product(int64_t m, int64_t k, int64_t n, const T* a, int64_t a_stride, const T* b,
             int64_t b_stride, T* c, int64_t c_stride) {
  if (!is_small(m, k, n)) {
    Out<T>(c, m, n, Stride(c_stride)).noalias() =
        In<T>(a, m, k, Stride(a_stride)) * In<T>(b, k, n, Stride(b_stride));
    return;
  }
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; j += lane) {
      T sum[lane] = {};
      for (int64_t t = 0; t < k; ++t) {
        const T factor = a[i * a_stride + t];
        for (int64_t l = 0; l < lane; ++l) sum[l] += factor * b[t * b_stride + j + l];
      }
      std::copy_n(sum, lane, c + i * c_stride + j);
    }
  }
}

}  // namespace

void multiply(int64_t m, int64_t k, int64_t n, const double* a, int64_t a_stride, const double* b,
              int64_t b_stride, double* c, int64_t c_stride) {
  product(m, k, n, a, a_stride, b, b_stride, c, c_stride);
}

void multiply(int64_t m, int64_t k, int64_t n, const float* a, int64_t a_stride, const float* b,
              int64_t b_stride, float* c, int64_t c_stride) {
  product(m, k, n, a, a_stride, b, b_stride, c, c_stride);
}

double exponentials(int64_t n, const double* s, double max, double* p) {
  // In whole lanes: Eigen would else treat ends that are not aligned another way.
  using Lane = Eigen::Array<double, lane, 1>;
  Lane sum = Lane::Zero();
  for (int64_t j = 0; j < n; j += lane) {
    const Lane x = Eigen::Map<const Lane>(s + j) - max;
    const Lane e = x.exp();
    const Lane kept = (x >= smallest_exponent).select(e, 0.0);
    Eigen::Map<Lane>(p + j) = kept;
    sum += kept;
  }
  return sum.sum();
}

}  // namespace attnfuzz
