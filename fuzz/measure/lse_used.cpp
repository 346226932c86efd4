#include "fuzz/measure/lse_used.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/other_query.h"
#include "fuzz/measure/row_address.h"
#include "fuzz/measure/vectors.h"
#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// The logarithm of the sum of exp of these, as a right softmax has it.
double log_sum(std::span<const double> scores, double sink) {
  double largest = sink;
  for (const double s : scores) largest = std::max(largest, s);
  double sum = std::exp(sink - largest);
  for (const double s : scores) sum += std::exp(s - largest);
  return largest + std::log(sum);
}

/// The logarithm of what all of a query's weights are multiplied by; none where they differ by more
/// than that.
std::optional<double> factor_of(const Query& query, std::span<const double> got,
                                std::span<const double> want, double error) {
  double low = std::numeric_limits<double>::infinity(), high = -low, rest = 0, all = 0;
  for (const double w : got) rest += std::abs(w);
  for (const Key& key : query.keys) {
    const double w = got[key.source];
    rest -= std::abs(w);
    all += std::abs(w);
    constexpr double least = 1e-3;  // smaller ones are known too badly
    if (want[key.source] < least) continue;
    if (!(w > 0)) return {};
    low = std::min(low, std::log(w / want[key.source]));
    high = std::max(high, std::log(w / want[key.source]));
  }
  if (!std::isfinite(low) || high - low > error || rest > error * all) return {};
  return (low + high) / 2;
}

}  // namespace

/// A number that may be taken in the place of a query's log-sum-exp.
struct LseFacts::Law {
  const char* words;
  double (*of)(const Row& row);
};

bool LseFacts::Row::wrong() const {
  return !(std::abs(used - own) <= error);
}

std::vector<double> LseFacts::seen(Target& target, const Plan& plan, Forge& forge,
                                   const Vectors& vectors, double error,
                                   const std::vector<double>& own, Budget& budget) const {
  std::vector<double> all;
  if (of_ == Of::returned) {
    const std::optional<Given> given = run(target, plan, forge, budget);
    if (!given || given->more.count(Output::lse) == 0) return {};
    const Problem& p = plan.c.problem;
    for (const Query& query : plan.queries)
      all.push_back(given->more.at(
          Output::lse)[static_cast<size_t>((query.b * p.num_heads + query.h) * p.q_len + query.i)]);
    return all;
  }
  const std::optional<Weights> got = weigh_backward(target, plan, forge, budget);
  if (!got) return {};
  const Weights want = expected(
      plan, forge, [&](const Query& query, const Key& key) { return vectors.score(query, key); });
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const std::optional<double> factor = factor_of(plan.queries[n], got->of(n), want.of(n), error);
    all.push_back(factor ? own[n] - *factor : none);
  }
  return all;
}

LseFacts::Row LseFacts::row_of(const Plan& plan, const Forge& forge, const Vectors& vectors,
                               const Query& query) const {
  const Problem& p = plan.c.problem;
  Problem uncapped = p;
  uncapped.softcap = 0;
  std::vector<double> scores, no_scale, no_cap, no_bias;
  double sum = 0;
  for (const Key& key : query.keys) {
    const double raw = vectors.score(query, key);
    scores.push_back(finished(p, raw, key.bias));
    no_scale.push_back(finished(p, raw / p.scale_value(), key.bias));
    no_cap.push_back(finished(uncapped, raw, key.bias));
    no_bias.push_back(finished(p, raw, 0));
    sum += scores.back();
  }
  const double sink = forge.sink(query.h);
  const auto count = static_cast<double>(scores.size());
  return {{query.b, query.h, query.i},
          log_sum(scores, sink),
          *std::max_element(scores.begin(), scores.end()),
          sum / count,
          log_sum(scores, -std::numeric_limits<double>::infinity()),
          log_sum(no_scale, sink),
          log_sum(no_cap, sink),
          log_sum(no_bias, sink),
          count,
          none,
          0,
          seen_.size()};
}

void LseFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  if (c.cached() || (of_ == Of::used && p.has_dropout())) return;
  const Plan plan = declared(c);
  Forge forge(plan);
  const Vectors vectors(plan, c.data.seed, 1);
  vectors.put(forge);
  const double error = 1e-4 + 8 * weight_error(c, target.info().capabilities.precision_of(p.dtype));
  Seen seen{std::make_shared<const Problem>(p), {}};
  std::vector<Row> rows;
  for (const Query& query : plan.queries) {
    if (!query.keys.empty()) rows.push_back(row_of(plan, forge, vectors, query));
    seen.lse.push_back(query.keys.empty() ? none : rows.back().own);
  }
  const std::vector<double> used =
      this->seen(target, plan, forge, vectors, error, seen.lse, budget);
  if (used.empty()) return;
  for (size_t n = 0, r = 0; n < plan.queries.size(); ++n) {
    if (plan.queries[n].keys.empty()) continue;
    rows[r].used = used[n];
    rows[r].error = error;
    unknown_ |= std::isnan(used[n]);
    if (unknown_) return;
    where_.add(attributes_of(plan, plan.queries[n]), rows[r].wrong());
    ++r;
  }
  seen_.push_back(std::move(seen));
  rows_.insert(rows_.end(), rows.begin(), rows.end());
}

const double* LseFacts::lse_of(const Row& row, const Index& query) const {
  const Seen& seen = seen_[row.of];
  const Index sizes{seen.problem->batch, seen.problem->num_heads, seen.problem->q_len};
  size_t flat = 0;
  for (size_t n = 0; n < 3; ++n) {
    if (query[n] < 0 || query[n] >= sizes[n]) return nullptr;
    flat = flat * static_cast<size_t>(sizes[n]) + static_cast<size_t>(query[n]);
  }
  return &seen.lse[flat];
}

/// One formula for all wrong queries.
std::string LseFacts::law() const {
  static constexpr Law laws[] = {
      {"0", [](const Row&) { return 0.0; }},
      {"without the sink", [](const Row& r) { return r.without_sink; }},
      {"the largest score alone: the logarithm of the sum is left out",
       [](const Row& r) { return r.largest; }},
      {"the logarithm of the sum alone: the largest score is left out",
       [](const Row& r) { return r.own - r.largest; }},
      {"to base 2 (times log2(e))", [](const Row& r) { return r.own * std::numbers::log2e; }},
      {"times ln 2, as if it were to base 2",
       [](const Row& r) { return r.own * std::numbers::ln2; }},
      {"less the mean of the query's scores: that of keys from which their mean is taken",
       [](const Row& r) { return r.own - r.mean; }},
      {"less log(n) of n keys: the logarithm of the mean of exp(S), not of the sum",
       [](const Row& r) { return r.own - std::log(r.count); }},
      {"of the scores without their scale", [](const Row& r) { return r.unscaled; }},
      {"of the scores without the softcap", [](const Row& r) { return r.uncapped; }},
      {"of the scores without the bias", [](const Row& r) { return r.unbiased; }},
      {"the sum of exp(S) itself, not its logarithm", [](const Row& r) { return std::exp(r.own); }},
      {"counted twice", [](const Row& r) { return 2 * r.own; }},
      {"of the wrong sign", [](const Row& r) { return -r.own; }},
  };
  for (const Law& law : laws)
    if (std::all_of(rows_.begin(), rows_.end(), [&](const Row& row) {
          return !row.wrong() || std::abs(law.of(row) - row.used) <= row.error;
        }))
      return law.words;
  return "";
}

/// Where the log-sum-exps [batch, num_heads, q_len] are read at another address.
std::string LseFacts::address() const {
  const std::string words =
      RowAddress::find(Layout::bhsd, RowsOf::queries, [this](const RowAddress& address) {
        return std::all_of(rows_.begin(), rows_.end(), [&](const Row& row) {
          Problem p = *seen_[row.of].problem;
          p.layout = Layout::bhsd;
          const double* other = lse_of(row, address.of(p, RowsOf::queries, row.at));
          return other != nullptr && std::abs(*other - row.used) <= row.error;
        });
      });
  return words.empty() ? "" : "read at " + words;
}

std::string LseFacts::other_query() const {
  for (const OtherQuery& each : other_queries) {
    const bool is_any = &each == std::end(other_queries) - 1;
    if (is_any) break;  // see zeros_and_others()
    if (std::all_of(rows_.begin(), rows_.end(), [&](const Row& row) {
          if (!row.wrong()) return true;
          const Index sizes{seen_[row.of].problem->batch, seen_[row.of].problem->num_heads,
                            seen_[row.of].problem->q_len};
          Index other{};
          for (other[0] = 0; other[0] < sizes[0]; ++other[0])
            for (other[1] = 0; other[1] < sizes[1]; ++other[1])
              for (other[2] = 0; other[2] < sizes[2]; ++other[2])
                if (each.holds(row.at, other) &&
                    std::abs(*lse_of(row, other) - row.used) <= row.error)
                  return true;
          return false;
        }))
      return fmt::format("that of {}", each.words);
  }
  return "";
}

/// Of some queries 0, of the others that of some other query.
std::string LseFacts::zeros_and_others() const {
  size_t zeros = 0, others = 0;
  for (const Row& row : rows_) {
    if (!row.wrong()) continue;
    const std::vector<double>& lse = seen_[row.of].lse;
    constexpr double by_chance = 0.05;
    if (std::abs(row.used) <= row.error)
      ++zeros;
    else if (2 * row.error * static_cast<double>(lse.size()) < by_chance &&
             std::any_of(lse.begin(), lse.end(),
                         [&](double x) { return std::abs(x - row.used) <= row.error; }))
      ++others;
    else
      return "";
  }
  if (others == 0) return "";
  return zeros == 0
             ? "that of another query"
             : fmt::format("0 for {} queries, and that of another query for {}", zeros, others);
}

std::vector<Statement> LseFacts::statements() const {
  const auto wrong =
      std::count_if(rows_.begin(), rows_.end(), [](const Row& row) { return row.wrong(); });
  constexpr int64_t enough = 3;
  if (unknown_ || wrong < enough) return {};
  for (const auto find :
       {&LseFacts::law, &LseFacts::other_query, &LseFacts::address, &LseFacts::zeros_and_others})
    if (const std::string words = (this->*find)(); !words.empty())
      return {
          of_ == Of::used
              ? Statement{"gradients",
                          fmt::format("In the backward pass P = exp(S − lse) has a log-sum-exp "
                                      "that is not the query's own, but {}. (Seen in dv of {} "
                                      "of {} queries{}.)",
                                      words, wrong, rows_.size(), where_.words_after("; exactly:"))}
              : Statement{"lse", fmt::format("The lse that is returned is not the query's own "
                                             "log-sum-exp, but {}. (Seen in {} of {} "
                                             "queries{}.)",
                                             words, wrong, rows_.size(),
                                             where_.words_after("; exactly:"))}};
  return {};
}

}  // namespace attnfuzz::measure
