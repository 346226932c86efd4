#include "fuzz/measure/score_gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/other_query.h"
#include "fuzz/measure/untold.h"
#include "fuzz/measure/weights.h"
#include "oracle/philox.h"
#include "oracle/rows.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

/// Uniform in (−1, 1), as the case's dtype has them.
std::vector<double> numbers(const Problem& p, size_t count, uint64_t tag) {
  std::vector<double> all(count);
  for (size_t n = 0; n < count; ++n)
    all[n] =
        round_to(p.dtype, 2 * static_cast<double>(philox4x32(tag, n, 0).v[0]) / 4294967296.0 - 1);
  return all;
}

std::span<const double> row(const std::vector<double>& of, size_t n, size_t dim) {
  return std::span(of).subspan(n * dim, dim);
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t d = 0; d < a.size(); ++d) sum += a[d] * b[d];
  return sum;
}

bool near(double a, double b, double error) {
  return std::abs(a - b) <= error;
}

}  // namespace

bool ScoreGradientFacts::is_right(const Row& row) {
  if (row.foreign > row.error) return false;
  for (size_t j = 0; j < row.got.size(); ++j)
    if (!near(row.got[j], row.p[j] * (row.dp[j] - row.d), row.error)) return false;
  return true;
}

/// `got`: dS by query and source.
void ScoreGradientFacts::add(const Plan& plan, const std::vector<double>& got, const Forge& forge,
                             const std::vector<double>& v, const std::vector<double>& g,
                             double error, Seen& seen) {
  const Problem& p = plan.c.problem;
  const auto dim = static_cast<size_t>(p.head_dim_v);
  const size_t sources = plan.sources.size();
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    if (query.keys.empty()) continue;  // what it gives is a matter of `fully_masked`
    Row of{{}, {}, {}, 0, 0, 0, cases_, query.b, query.h, query.i};
    const std::vector<double> zeros(query.keys.size(), 0.0);
    of.p = weights(p, query, zeros, forge.sink(query.h));
    std::vector<uint8_t> is_seen(sources, 0);
    double size = 0;
    for (size_t j = 0; j < query.keys.size(); ++j) {
      const size_t source = query.keys[j].source;
      is_seen[source] = 1;
      of.got.push_back(got[n * sources + source]);
      of.dp.push_back(dot(row(g, n, dim), row(v, source, dim)));
      of.d += of.p[j] * of.dp[j];
      size = std::max(size, of.p[j] * std::abs(of.dp[j]));
    }
    of.error = 4 * error * (size + std::abs(of.d)) + 1e-6;
    for (size_t s = 0; s < sources; ++s)
      if (is_seen[s] == 0) of.foreign = std::max(of.foreign, std::abs(got[n * sources + s]));
    const bool right = is_right(of);
    seen.where.add(attributes_of(plan, query), !right);
    const Held& held = plan.held[0][static_cast<size_t>(query.b)];
    for (size_t j = 0; j < query.keys.size(); ++j) {
      const double want = of.p[j] * (of.dp[j] - of.d);
      const bool fits = near(of.got[j], want, of.error);
      const bool none = !fits && near(of.got[j], 0, of.error);
      seen.other |= !fits && !none;
      seen.zeros += none ? 1 : 0;
      if (query.keys[j].position >= 0 && std::abs(want) > 2 * of.error)
        seen.left_out.add(attributes_of(plan, query, held, query.keys[j].place), none);
    }
    add_pairs(plan, n, std::span(got).subspan(n * sources, sources), of.error, seen);
    seen.rows.push_back(std::move(of));
  }
}

/// Of a query that sees one key dS is 0 whatever it is made of.
void ScoreGradientFacts::add_pairs(const Plan& plan, size_t n, std::span<const double> got,
                                   double error, Seen& seen) {
  const Query& query = plan.queries[n];
  const Held& held = plan.held[0][static_cast<size_t>(query.b)];
  std::vector<uint8_t> has(held.tokens.size(), 0);
  size_t own = 0, all = 0;
  for (const double x : got) all += std::abs(x) > error ? 1 : 0;
  for (size_t j = 0; j < held.tokens.size(); ++j) {
    has[j] = std::abs(got[plan.source(held.tokens[j], plan.c.problem.kv_head(query.h))]) > error;
    own += has[j];
  }
  seen.elsewhere |= own < all;
  if (query.keys.size() > 1 || own > 0) seen.visible.add(plan, query, has);
}

void ScoreGradientFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  constexpr double least_scale = 0.01;  // below, gradients may be subnormal
  if (c.cached() || p.recurrent() || std::abs(p.scale_value()) < least_scale || p.has_dropout() ||
      p.memory_kv > 0 || p.mask.find("alibi") != nullptr)
    return;
  Plan plan = declared(c);
  for (Query& query : plan.queries)  // the bias tensor is filled with zeros
    for (Key& key : query.keys) key.bias = 0;
  const auto dim = static_cast<size_t>(p.head_dim), dim_v = static_cast<size_t>(p.head_dim_v);
  const size_t sources = plan.sources.size(), queries = plan.queries.size();
  const std::vector<double> v = numbers(p, sources * dim_v, 3), g = numbers(p, queries * dim_v, 4);
  const double error = weight_error(c, target.info().capabilities.precision_of(p.dtype));
  for (const Output output : {Output::dq, Output::dk}) {
    const bool of_q = output == Output::dq;
    const size_t count = of_q ? sources : queries, runs = (count + dim - 1) / dim;
    if (!p.asks(output) || !budget.allows(static_cast<int64_t>(runs))) continue;
    Forge forge(plan);
    forge.fill("bias", 0);
    forge.values([&](size_t n, std::span<double> to) {
      std::copy_n(row(v, n, dim_v).begin(), dim_v, to.begin());
    });
    size_t next = 0;
    forge.grad_out([&](std::span<double> to) {
      std::copy_n(row(g, next++, dim_v).begin(), dim_v, to.begin());
    });
    const Rows rows(p.layout, shape_in(p.layout, p.batch, of_q ? p.num_heads : p.num_kv_heads,
                                       of_q ? p.q_len : p.kv_len, p.head_dim));
    std::vector<double> got(queries * sources, 0.0);
    for (size_t r = 0; r < runs; ++r) {
      const size_t first = r * dim;
      size_t query = 0;
      forge.queries([&](int32_t, int64_t, int64_t, int64_t, std::span<double> to) {
        std::fill(to.begin(), to.end(), 0.0);
        if (!of_q && query >= first && query < first + dim) to[query - first] = 1;
        ++query;
      });
      forge.keys([&](size_t source, std::span<double> to) {
        std::fill(to.begin(), to.end(), 0.0);
        if (of_q && source >= first && source < first + dim) to[source - first] = 1;
      });
      const std::optional<Given> given = run(target, plan, forge, budget);
      if (!given || given->more.count(output) == 0) return;
      const std::vector<double>& x = given->more.at(output);
      for (size_t d = 0; d < dim && first + d < count; ++d)
        for (size_t m = 0; m < (of_q ? queries : sources); ++m) {
          const size_t at =
              of_q ? static_cast<size_t>(
                         rows.index(plan.queries[m].b, plan.queries[m].h, plan.queries[m].i))
                   : static_cast<size_t>(
                         rows.index(plan.sources[m].row, plan.sources[m].head, plan.sources[m].i));
          got[of_q ? m * sources + first + d : (first + d) * sources + m] =
              x[at + d] / p.scale_value();
        }
    }
    add(plan, got, forge, v, g, error, of_q ? dq_ : dk_);
  }
  ++cases_;
}

/// Another formula for dS, that all wrong rows have.
std::string ScoreGradientFacts::formula(const std::vector<const Row*>& wrong) {
  struct Formula {
    const char* words;
    double (*of)(double p, double dp, double d);
  };
  static constexpr Formula formulas[] = {
      {"rowsum(grad_out ∘ out) is not subtracted (dS = P ∘ dP)",
       [](double p, double dp, double) { return p * dp; }},
      {"rowsum(grad_out ∘ out) is subtracted twice",
       [](double p, double dp, double d) { return p * (dp - 2 * d); }},
      {"rowsum(grad_out ∘ out) is added, not subtracted",
       [](double p, double dp, double d) { return p * (dp + d); }},
      {"rowsum(grad_out ∘ out) is subtracted without P's weight (dS = P ∘ dP − D)",
       [](double p, double dp, double d) { return p * dp - d; }},
      {"P is left out (dS = dP − D)", [](double, double dp, double d) { return dp - d; }},
      {"P takes part twice (dS = P ∘ P ∘ (dP − D))",
       [](double p, double dp, double d) { return p * p * (dp - d); }},
      {"the sign of dS is wrong", [](double p, double dp, double d) { return -p * (dp - d); }},
      {"only rowsum(grad_out ∘ out) takes part (dS = −P ∘ D)",
       [](double p, double, double d) { return -p * d; }},
  };
  for (const Formula& each : formulas) {
    const bool all = std::all_of(wrong.begin(), wrong.end(), [&](const Row* row) {
      if (row->foreign > row->error) return false;
      for (size_t j = 0; j < row->got.size(); ++j)
        if (!near(row->got[j], each.of(row->p[j], row->dp[j], row->d), row->error)) return false;
      return true;
    });
    if (all) return each.words;
  }
  return "";
}

/// D that is another query's.
std::string ScoreGradientFacts::other_sum(const std::vector<const Row*>& wrong,
                                          const std::vector<Row>& all) {
  for (const OtherQuery& rule : other_queries) {
    const bool each = std::all_of(wrong.begin(), wrong.end(), [&](const Row* row) {
      return std::any_of(all.begin(), all.end(), [&](const Row& other) {
        if (other.of != row->of ||
            !rule.holds({row->b, row->h, row->i}, {other.b, other.h, other.i}))
          return false;
        for (size_t j = 0; j < row->got.size(); ++j)
          if (!near(row->got[j], row->p[j] * (row->dp[j] - other.d), row->error)) return false;
        return row->foreign <= row->error;
      });
    });
    if (each) return fmt::format("rowsum(grad_out ∘ out) is that of {}", rule.words);
  }
  return "";
}

std::vector<Statement> ScoreGradientFacts::statements() const {
  std::vector<Statement> all;
  for (const Seen* seen : {&dq_, &dk_}) {
    std::vector<const Row*> wrong;
    bool foreign = false;
    for (const Row& row : seen->rows) {
      if (is_right(row)) continue;
      wrong.push_back(&row);
      foreign |= row.foreign > row.error;
    }
    if (wrong.empty()) continue;
    std::string words = formula(wrong);
    if (words.empty()) words = other_sum(wrong, seen->rows);
    if (words.empty() && !foreign && !seen->other && seen->zeros > 0) {
      const Where::Condition left = seen->left_out.condition();
      words = left.found
                  ? fmt::format("the pairs of a query and a key are left out{}{}",
                                left.words.empty() ? ", all of them" : " that have ", left.words)
                  : "";
    }
    if (words.empty() && foreign && !seen->elsewhere)
      if (const std::string pairs = seen->visible.words(); !pairs.empty())
        words = "pairs of a query and a key take part that the mask hides. " + pairs;
    const Where::Condition where = seen->where.condition();
    const std::string place =
        where.found && !where.words.empty() ? "; exactly: " + where.words : "";
    all.push_back({"gradients", fmt::format("In {}, {} (dS as {} has it, in {} of {} queries{}).",
                                            seen->name, words.empty() ? untold_gradient : words,
                                            seen->name, wrong.size(), seen->rows.size(), place)});
  }
  return all;
}

}  // namespace attnfuzz::measure
