#include "fuzz/measure/weights.h"

#include <algorithm>
#include <cmath>

#include "oracle/philox.h"
#include "oracle/rows.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

/// Random values: fills Weights::residual.
bool check_sums(Target& target, const Plan& plan, Forge& forge, Budget& budget, Weights& all) {
  const auto dim = static_cast<size_t>(plan.c.problem.head_dim_v);
  std::vector<double> values(all.sources * dim);
  for (size_t n = 0; n < values.size(); ++n) {
    constexpr uint64_t seed = 7;
    const double uniform = static_cast<double>(philox4x32(seed, n, 0).v[0]) / 4294967296.0;
    values[n] = round_to(plan.c.problem.dtype, 2 * uniform - 1);
  }
  forge.values([&](size_t source, std::span<double> row) {
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(source * dim), dim, row.begin());
  });
  const std::optional<Given> given = run(target, plan, forge, budget);
  if (!given) return false;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const std::span<const double> row = row_of(plan, *given, plan.queries[n]);
    double size = 1e-6;
    for (const double w : all.of(n)) size += std::abs(w);
    for (size_t d = 0; d < dim; ++d) {
      double sum = all.offset[n];
      for (size_t s = 0; s < all.sources; ++s) sum += all.of(n)[s] * values[s * dim + d];
      if (std::isfinite(row[d]))
        all.residual[n] = std::max(all.residual[n], std::abs(row[d] - sum) / size);
    }
  }
  return true;
}

}  // namespace

std::optional<Weights> weigh(Target& target, const Plan& plan, Forge& forge, Budget& budget) {
  const auto dim = static_cast<size_t>(plan.c.problem.head_dim_v);
  const size_t sources = plan.sources.size(), runs = (sources + dim - 1) / dim;
  constexpr size_t most = size_t{1} << 23;  // weights
  if (!budget.allows(static_cast<int64_t>(runs) + 2) || plan.queries.size() * sources > most)
    return {};
  Weights all;
  all.sources = sources;
  all.w.assign(plan.queries.size() * sources, 0.0);
  all.nonfinite.assign(plan.queries.size(), 0);
  all.offset.assign(plan.queries.size(), 0.0);
  all.residual.assign(plan.queries.size(), 0.0);
  for (size_t r = 0; r <= runs; ++r) {
    const size_t first = (r - 1) * dim;  // run 0: all values are 0
    forge.values([&](size_t source, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
      if (r > 0 && source >= first && source < first + dim) row[source - first] = 1;
    });
    const std::optional<Given> given = run(target, plan, forge, budget);
    if (!given) return {};
    for (size_t n = 0; n < plan.queries.size(); ++n) {
      const std::span<const double> row = row_of(plan, *given, plan.queries[n]);
      for (size_t d = 0; d < dim; ++d) {
        const bool finite = std::isfinite(row[d]);
        if (!finite) all.nonfinite[n] = 1;
        if (r == 0 && finite && std::abs(row[d]) > std::abs(all.offset[n])) all.offset[n] = row[d];
        if (r > 0 && first + d < sources) all.w[n * sources + first + d] = finite ? row[d] : 0;
      }
    }
  }
  if (!check_sums(target, plan, forge, budget, all)) return {};
  return all;
}

std::optional<Weights> weigh_backward(Target& target, const Plan& plan, Forge& forge,
                                      Budget& budget) {
  const Problem& p = plan.c.problem;
  const auto dim = static_cast<size_t>(p.head_dim_v);
  const size_t queries = plan.queries.size(), sources = plan.sources.size();
  const size_t runs = (queries + dim - 1) / dim;
  if (!p.asks(Output::dv) || p.memory_kv > 0 || !budget.allows(static_cast<int64_t>(runs)))
    return {};
  Weights all;
  all.sources = sources;
  all.w.assign(queries * sources, 0.0);
  all.nonfinite.assign(queries, 0);
  all.offset.assign(queries, 0.0);
  all.residual.assign(queries, 0.0);
  const Rows rows(p.layout, shape_in(p.layout, p.batch, p.num_kv_heads, p.kv_len, p.head_dim_v));
  for (size_t r = 0; r < runs; ++r) {
    size_t next = 0;  // queries come by row, head, place, as in the plan
    forge.grad_out([&](std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
      if (next >= r * dim && next < (r + 1) * dim) row[next - r * dim] = 1;
      ++next;
    });
    const std::optional<Given> given = run(target, plan, forge, budget);
    if (!given || given->more.count(Output::dv) == 0) return {};
    const std::vector<double>& dv = given->more.at(Output::dv);
    for (size_t s = 0; s < sources; ++s) {
      const Source& at = plan.sources[s];
      for (size_t d = 0; d < dim && r * dim + d < queries; ++d) {
        const double x = dv[static_cast<size_t>(rows.index(at.row, at.head, at.i)) + d];
        if (!std::isfinite(x)) all.nonfinite[r * dim + d] = 1;
        all.w[(r * dim + d) * sources + s] = std::isfinite(x) ? x : 0;
      }
    }
  }
  return all;
}

Weights expected(const Plan& plan, const Forge& forge, const Scores& scores) {
  Weights all;
  const Problem& p = plan.c.problem;
  all.sources = plan.sources.size();
  all.w.assign(plan.queries.size() * all.sources, 0.0);
  all.nonfinite.assign(plan.queries.size(), 0);
  all.offset.assign(plan.queries.size(), 0.0);
  all.residual.assign(plan.queries.size(), 0.0);
  const double kept = 100 / static_cast<double>(p.dropout_keep);
  std::vector<double> s;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    s.clear();
    for (const Key& key : query.keys) s.push_back(scores(query, key));
    const std::vector<double> w = weights(p, query, s, forge.sink(query.h));
    for (size_t j = 0; j < w.size(); ++j)
      all.w[n * all.sources + query.keys[j].source] += kept * w[j];
  }
  return all;
}

double weight_error(const Case& c, const Precision& precision) {
  const double u = unit_roundoff(c.problem.dtype);
  const double stored = c.cached() && c.cache->quant != Quant::none ? 0.02 : 0;
  const DType scores = precision.scores.value_or(precision.accumulate);
  return 1e-5 + 8 * u + 4 * unit_roundoff(precision.p) + 16 * unit_roundoff(scores) + stored;
}

bool differs(std::span<const double> got, std::span<const double> want, double error) {
  for (size_t n = 0; n < got.size(); ++n) {
    const double size = std::max(std::abs(got[n]), want[n]);
    if (!(std::abs(got[n] - want[n]) <= error * size + 1e-7)) return true;
  }
  return false;
}

}  // namespace attnfuzz::measure
