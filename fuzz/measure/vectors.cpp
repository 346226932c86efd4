#include "fuzz/measure/vectors.h"

#include <cmath>

#include "oracle/philox.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

constexpr uint64_t keys_tag = uint64_t{1} << 60;

uint64_t tag_of(int32_t step, int64_t b, int64_t h, int64_t i) {
  return ((static_cast<uint64_t>(step) * 256 + static_cast<uint64_t>(b)) * 1024 +
          static_cast<uint64_t>(h)) *
             (uint64_t{1} << 24) +
         static_cast<uint64_t>(i);
}

}  // namespace

Vectors::Vectors(const Plan& plan, uint64_t seed, double spread)
    : plan_(plan), seed_(seed), dim_(static_cast<size_t>(plan.c.problem.head_dim)) {
  const double scale = std::abs(plan.c.problem.scale_value());
  size_q_ = scale == 0 ? 1 : 3 * spread / (scale * std::sqrt(static_cast<double>(dim_)));
  q_.resize(plan.queries.size() * dim_);
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    fill(tag_of(query.step, query.b, query.h, query.i), size_q_,
         std::span(q_).subspan(n * dim_, dim_));
  }
  k_.resize(plan.sources.size() * dim_);
  for (size_t n = 0; n < plan.sources.size(); ++n)
    fill(keys_tag + n, 1, std::span(k_).subspan(n * dim_, dim_));
}

/// Uniform in (−size, size).
void Vectors::fill(uint64_t tag, double size, std::span<double> row) const {
  for (size_t d = 0; d < row.size(); ++d) {
    const Philox bits = philox4x32(seed_, tag, static_cast<uint32_t>(d));
    const double uniform = static_cast<double>(bits.v[0]) / 4294967296.0;
    row[d] = round_to(plan_.c.problem.dtype, size * (2 * uniform - 1));
  }
}

void Vectors::put(Forge& forge) const {
  forge.queries([&](int32_t step, int64_t b, int64_t h, int64_t i, std::span<double> row) {
    fill(tag_of(step, b, h, i), size_q_, row);
  });
  forge.keys([&](size_t source, std::span<double> row) { fill(keys_tag + source, 1, row); });
}

double Vectors::score(const Problem& as, size_t query, int64_t position, size_t source,
                      int64_t key_position) const {
  std::vector<double> a(q(query).begin(), q(query).end());
  std::vector<double> b(k(source).begin(), k(source).end());
  turn(as, as.rope_position(position), a);
  if (plan_.sources[source].step >= 0) turn(as, as.rope_position(key_position), b);
  double sum = 0;
  for (size_t d = 0; d < dim_; ++d) sum += a[d] * b[d];
  return as.scale_value() * sum;
}

double Vectors::score(const Query& query, const Key& key) const {
  const auto n = static_cast<size_t>(&query - plan_.queries.data());
  return score(plan_.c.problem, n, query.position, key.source, key.position);
}

}  // namespace attnfuzz::measure
