#include "oracle/stored.h"

#include <algorithm>
#include <cmath>

#include "oracle/rope.h"

namespace attnfuzz {
namespace {

/// The two elements of pair n.
struct Pair {
  size_t a, b;
};

Pair pair(Rope rope, size_t n, size_t dim) {
  if (rope == Rope::half) return {n, n + dim / 2};
  return {2 * n, 2 * n + 1};
}

/// The elements of a head that are turned.
std::span<double> turned(const Problem& problem, std::span<double> all) {
  return all.subspan(static_cast<size_t>(problem.turned_begin()),
                     static_cast<size_t>(problem.turned_dim()));
}

/// The nearest number of the type to y ≥ 0, at most its largest. NaN stays NaN.
double nearest(Quant quant, double y) {
  y = y > largest(quant) ? largest(quant) : y;
  if (quant == Quant::int8) return std::nearbyint(y);
  return round_to(quant == Quant::e4m3 ? DType::e4m3 : DType::e5m2, y);
}

}  // namespace

void turn(const Problem& problem, int64_t position, std::span<double> all) {
  if (problem.rope == Rope::none) return;
  const std::span<double> x = turned(problem, all);
  for (size_t n = 0; 2 * n < x.size(); ++n) {
    const double angle =
        static_cast<double>(position) * rope_frequency(problem, static_cast<int64_t>(n));
    const double size = problem.rope_scaling.magnitude;
    const double cos = size * std::cos(angle), sin = size * std::sin(angle);
    const auto [a, b] = pair(problem.rope, n, x.size());
    const double first = x[a], second = x[b];
    x[a] = first * cos - second * sin;
    x[b] = second * cos + first * sin;
  }
}

void join_pairs(const Problem& problem, std::span<double> all) {
  if (problem.rope == Rope::none) return;
  const std::span<double> sizes = turned(problem, all);
  for (size_t n = 0; 2 * n < sizes.size(); ++n) {
    const auto [a, b] = pair(problem.rope, n, sizes.size());
    sizes[a] = sizes[b] = std::hypot(sizes[a], sizes[b]) / std::sqrt(2.0);
  }
}

void store(const Cache& cache, DType dtype, double scale, std::span<const double> off,
           std::span<double> x, std::span<double> error) {
  constexpr double least_scale = 0x1p-100;  // below, f32's subnormals come near
  const double u = unit_roundoff(DType::f32);
  double scale_error = 4 * u;
  if (cache.scales == Scales::token) {
    double most = 0, most_off = 0;
    for (size_t d = 0; d < x.size(); ++d) {
      most = std::max(most, std::abs(x[d]));
      most_off = std::max(most_off, off[d]);
    }
    scale = round_to(DType::f32, most / largest(cache.quant));
    if (most > 0) scale_error += most_off / most;
  }
  for (size_t d = 0; d < x.size(); ++d) {
    const double size = std::abs(x[d]);
    if (!(scale >= least_scale)) {  // anything between 0 and a little more
      error[d] = 2 * (size + off[d]) + 0x1p-100;
      continue;
    }
    const double shift = (off[d] + size * (scale_error + 2 * u)) / scale;
    const double mid = nearest(cache.quant, size / scale);
    const double low = nearest(cache.quant, std::max(0.0, size / scale - shift));
    const double high = nearest(cache.quant, size / scale + shift);
    const double read = mid * scale;
    error[d] = std::max(high - mid, mid - low) * scale * (1 + scale_error) +
               read * (scale_error + 2 * u + unit_roundoff(dtype)) +
               smallest_subnormal(dtype == DType::f64 ? DType::f32 : dtype);
    x[d] = std::copysign(read, x[d]);
  }
}

}  // namespace attnfuzz
