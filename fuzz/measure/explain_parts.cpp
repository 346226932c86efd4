#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// Runs of neighbouring keys within which a row's weights are right, up to a
/// factor.
struct Part {
  size_t begin, end;  ///< of Row::keys
  double factor;      ///< its logarithm, against what the case says
};

std::vector<Part> parts_of(const Row& row) {
  std::vector<Part> parts;
  for (size_t n = 0; n < row.keys.size(); ++n) {
    const double off = row.log_w[n] - row.want[n];
    if (!parts.empty() && std::abs(off - parts.back().factor) <= row.tolerance())
      parts.back().end = n + 1;
    else
      parts.push_back({n, n + 1, off});
  }
  return parts;
}

/// The log-sum-exp that a query has over the keys that stand where a part of a
/// row's do.
double log_sum(const Row& row, const Part& part, size_t query) {
  const Query& at = row.of->plan->queries[query];
  const int64_t first = row.at().keys[row.keys[part.begin]].position;
  const int64_t last = row.at().keys[row.keys[part.end - 1]].position;
  double sum = 0;
  for (const Key& key : at.keys)
    if (key.position >= first && key.position <= last)
      sum += std::exp(
          row.of->vectors->score(row.problem(), query, at.position, key.source, key.position));
  return std::log(sum);
}

/// Whether the parts' factors are those of the log-sum-exp that other queries
/// have over them: the query heads or rows whose it may be.
bool takes_sums_of(const Row& row, const std::vector<Part>& parts, size_t other) {
  double low = 1e300, high = -1e300;
  for (const Part& part : parts) {
    const double off = part.factor - (log_sum(row, part, other) - log_sum(row, part, row.query));
    low = std::min(low, off);
    high = std::max(high, off);
  }
  return high - low <= 4 * row.tolerance();
}

}  // namespace

std::optional<std::string> explain_parts(const std::vector<Row>& wrong, const std::vector<Row>&) {
  std::set<std::string> ends, sums;
  bool all_sums = true, several = false;
  for (const Row& row : wrong) {
    const std::vector<Part> parts = parts_of(row);
    if (parts.size() < 2 || row.keys.size() < parts.size() + 2) return {};
    several |= row.keys.size() > 2 * parts.size();
    std::vector<std::string> ranges_of;
    for (const Part& part : parts)
      ranges_of.push_back(fmt::format("{}–{}", row.at().keys[row.keys[part.begin]].position,
                                      row.at().keys[row.keys[part.end - 1]].position));
    ends.insert(fmt::format("{}", fmt::join(ranges_of, ", ")));
    bool found = false;
    const Plan& plan = *row.of->plan;
    for (size_t n = 0; n < plan.queries.size() && !found; ++n) {
      const Query& other = plan.queries[n];
      if (n == row.query || other.step != row.at().step || other.i != row.at().i) continue;
      found = takes_sums_of(row, parts, n);
      if (found && sums.size() < 4)
        sums.insert(fmt::format("row {} head {} takes those of row {} head {}", row.at().b,
                                row.at().h, other.b, other.h));
    }
    all_sums &= found;
  }
  if (!several) return {};
  std::string words = fmt::format(
      "Within parts of the keys the weights are right, between the "
      "parts they are not: partial "
      "results (of tiles, splits or chunks) are merged with wrong "
      "sums or maxima. The parts: keys "
      "{}.",
      *ends.begin());
  if (all_sums)
    words += fmt::format(" The parts are weighed by the log-sum-exp of another query: {}.",
                         fmt::join(sums, "; "));
  return words;
}

}  // namespace attnfuzz::measure
