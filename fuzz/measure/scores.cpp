#include "fuzz/measure/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/untold.h"
#include "oracle/dtype.h"

namespace attnfuzz::measure {
namespace {

std::optional<Row> row_of(const Scored& scored, size_t n) {
  Row row;
  row.of = &scored;
  row.query = n;
  const Query& query = scored.plan->queries[n];
  double largest = 0;
  for (const double w : scored.got.of(n)) largest = std::max(largest, w);
  // Small numbers of the output's type are known to few bits.
  const double least = 64 * smallest_subnormal(scored.plan->c.problem.dtype);
  const double floor = std::max(std::max(1e-4, 30 * scored.error) * largest, least);
  constexpr size_t most_keys = 160;
  const size_t stride = 1 + query.keys.size() / most_keys;
  for (size_t j = 0; j < query.keys.size(); j += stride) {
    const double w = scored.got.of(n)[query.keys[j].source];
    const double want = scored.want.of(n)[query.keys[j].source];
    if (w < floor) continue;
    row.keys.push_back(j);
    row.log_w.push_back(std::log(w));
    // What is taken though it should have next to no weight is no less to be explained.
    row.want.push_back(std::log(std::max(want, floor / 100)));
  }
  if (row.keys.size() < 2) return {};
  return row;
}

/// Every n-th of them, so many at most.
template <class T>
std::vector<T> some(const std::vector<T>& all, size_t most) {
  std::vector<T> few;
  if (all.empty()) return few;
  const size_t stride = 1 + (all.size() - 1) / most;
  for (size_t n = 0; n < all.size(); n += stride) few.push_back(all[n]);
  return few;
}

}  // namespace

double Row::tolerance() const {
  double largest = 1;
  for (const double s : want) largest = std::max(largest, std::abs(s));
  return 4 * of->error * (4 + largest) + 1e-4;
}

double Row::spread_finished(const std::vector<double>& scores) const {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (size_t j = 0; j < keys.size(); ++j) {
    const double off = log_w[j] - scores[j];
    if (!std::isfinite(off)) return std::numeric_limits<double>::infinity();
    low = std::min(low, off);
    high = std::max(high, off);
  }
  return high - low;
}

double Row::spread(const std::vector<double>& scores) const {
  std::vector<double> all(scores);
  for (size_t j = 0; j < keys.size(); ++j)
    all[j] = finished(problem(), all[j], at().keys[keys[j]].bias);
  return spread_finished(all);
}

bool Row::fits(const std::vector<double>& scores) const {
  return spread(scores) <= tolerance();
}

std::vector<double> scores_as(const Row& row, const Problem& as) {
  std::vector<double> scores;
  for (const size_t j : row.keys) {
    const Key& key = row.at().keys[j];
    scores.push_back(
        row.of->vectors->score(as, row.query, row.at().position, key.source, key.position));
  }
  return scores;
}

bool ScoreFacts::add(Scored scored) {
  const size_t wrong_before = wrong_.size();
  cases_.push_back(std::make_unique<const Scored>(std::move(scored)));
  const Scored& of = *cases_.back();
  for (size_t n = 0; n < of.plan->queries.size(); ++n) {
    if (of.got.nonfinite[n] != 0) continue;
    std::optional<Row> row = row_of(of, n);
    if (!row) continue;
    const bool fits = row->fits(scores_as(*row, row->problem()));
    (fits ? right_ : wrong_).push_back(std::move(*row));
  }
  return wrong_.size() == wrong_before;
}

std::vector<Statement> ScoreFacts::statements() const {
  if (wrong_.empty()) return {};
  Where where;
  for (const Row& row : wrong_) where.add(attributes_of(*row.of->plan, row.at()), true);
  for (const Row& row : right_) where.add(attributes_of(*row.of->plan, row.at()), false);
  const Where::Condition condition = where.condition();
  const std::string place = condition.found && !condition.words.empty()
                                ? fmt::format("; exactly {}", condition.words)
                                : "";
  const std::string seen =
      fmt::format(" (Seen in {} of {} queries{}.)", wrong_.size(), where.size(), place);
  struct Try {
    const char* about;
    Explain explain;
    size_t most;  ///< rows that it is tried on
  };
  constexpr Try tries[] = {{"scores", explain_softcap, 64},
                           {"scores", explain_scale, 64},
                           {"queries", explain_queries, 24},
                           {"rotation", explain_rope_widths, 16},
                           {"scores", explain_alibi, 64},
                           {"rotation", explain_rotation, 16},
                           {"scores", explain_bias, 64},
                           {"parts", explain_parts, 48},
                           {"precision", explain_precision, 64},
                           {"keys", explain_moved_keys, 24},
                           {"keys", explain_keys, 16}};
  for (const Try& each : tries)
    if (const std::optional<std::string> words =
            each.explain(some(wrong_, each.most), some(right_, each.most)))
      return {{each.about, *words + seen}};
  const Row& row = wrong_.front();
  std::vector<std::string> got, want;
  for (size_t j = 0; j < row.keys.size() && j < 6; ++j) {
    got.push_back(fmt::format("{:.3g}", std::exp(row.log_w[j])));
    want.push_back(fmt::format("{:.3g}", std::exp(row.want[j])));
  }
  return {
      {"scores", fmt::format("{}{} takes keys {} with {}, where the case says {}.{}",
                             untold_weights, describe_query(*row.of->plan, row.at()), ranges([&] {
                               std::vector<int64_t> positions;
                               for (size_t j = 0; j < row.keys.size() && j < 6; ++j)
                                 positions.push_back(row.at().keys[row.keys[j]].position);
                               return positions;
                             }()),
                             fmt::join(got, ", "), fmt::join(want, ", "), seen)}};
}

}  // namespace attnfuzz::measure
