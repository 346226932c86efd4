#pragma once
#include <cstdint>

namespace attnfuzz {

/// Rows of matrices are padded to a multiple of this many doubles.
inline constexpr int64_t lane = 8;
inline int64_t padded(int64_t size) {
  return (size + lane - 1) / lane * lane;
}

/// c[m, n] = a[m, k] · b[k, n]: row-major, each with the distance between its rows. n is a multiple
/// of the lane. One thread; the order of the sums depends on the sizes alone.
void multiply(int64_t m, int64_t k, int64_t n, const double* a, int64_t a_stride, const double* b,
              int64_t b_stride, double* c, int64_t c_stride);

/// The same in single precision.
void multiply(int64_t m, int64_t k, int64_t n, const float* a, int64_t a_stride, const float* b,
              int64_t b_stride, float* c, int64_t c_stride);

/// p[j] = exp(s[j] − max), at most 2 ulps off, or 0 where that is below 2^-1021; gives their sum.
/// n is a multiple of the lane.
double exponentials(int64_t n, const double* s, double max, double* p);

}  // namespace attnfuzz
