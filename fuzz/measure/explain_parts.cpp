#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
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

/// What a query has over the keys that stand where a part of a row's do.
struct PartSums {
  double lse, largest, keys;
};
PartSums sums_of(const Row& row, const Part& part, size_t query) {
  const Query& at = row.of->plan->queries[query];
  const int64_t first = row.at().keys[row.keys[part.begin]].position;
  const int64_t last = row.at().keys[row.keys[part.end - 1]].position;
  double sum = 0, largest = -1e300, keys = 0;
  for (const Key& key : at.keys) {
    if (key.position < first || key.position > last) continue;
    const double score =
        row.of->vectors->score(row.problem(), query, at.position, key.source, key.position);
    sum += std::exp(score);
    largest = std::max(largest, score);
    ++keys;
  }
  return {std::log(sum), largest, keys};
}

/// Whether the parts' factors differ from each other as these numbers of theirs do.
bool differ_as(const Row& row, const std::vector<Part>& parts, const auto& number) {
  double low = 1e300, high = -1e300;
  for (const Part& part : parts) {
    const double off = part.factor - number(part);
    low = std::min(low, off);
    high = std::max(high, off);
  }
  return high - low <= 4 * row.tolerance();
}

/// By what parts are weighed where they are merged, in the place of exp(their log-sum-exp): its
/// logarithm.
struct Law {
  const char* words;
  double (*of)(const PartSums&);
};
constexpr Law laws[] = {
    {"exp(x) of log-sum-exps x to base 2, whose power of 2 is right",
     [](const PartSums& s) { return s.lse * std::numbers::log2e; }},
    {"2^x of natural log-sum-exps x, whose exp(x) is right",
     [](const PartSums& s) { return s.lse * std::numbers::ln2; }},
    {"1: all parts have the same weight", [](const PartSums&) { return 0.0; }},
    {"the number of their keys", [](const PartSums& s) { return std::log(s.keys); }},
    {"the exponential of their largest score: the sum over their keys is left out",
     [](const PartSums& s) { return s.largest; }},
    {"the sum of their keys' weights: their largest scores are left out",
     [](const PartSums& s) { return s.lse - s.largest; }},
    {"the square of exp(their log-sum-exp)", [](const PartSums& s) { return 2 * s.lse; }},
    {"1 / exp(their log-sum-exp): that of the other part, where there are two",
     [](const PartSums& s) { return -s.lse; }},
};

struct Split {
  const Row* row;
  std::vector<Part> parts;
};

/// Rows of which every key's weight was measured tell sums best.
std::string law_words(const std::vector<Split>& all) {
  std::vector<Split> splits;
  for (const Split& split : all)
    if (split.row->keys.size() == split.row->at().keys.size()) splits.push_back(split);
  constexpr size_t enough = 3;
  if (splits.size() < enough) return "";
  for (const Law& law : laws)
    if (std::all_of(splits.begin(), splits.end(), [&](const Split& split) {
          return differ_as(*split.row, split.parts, [&](const Part& part) {
            const PartSums sums = sums_of(*split.row, part, split.row->query);
            return law.of(sums) - sums.lse;
          });
        }))
      return fmt::format(" The parts are weighed by {}.", law.words);
  return "";
}

/// The query heads or rows whose log-sum-exps weigh the parts, where there are such for all rows.
std::string other_words(const std::vector<Split>& splits) {
  std::set<std::string> sums;
  for (const Split& split : splits) {
    const Row& row = *split.row;
    const Plan& plan = *row.of->plan;
    bool found = false;
    for (size_t n = 0; n < plan.queries.size() && !found; ++n) {
      const Query& other = plan.queries[n];
      if (n == row.query || other.step != row.at().step || other.i != row.at().i) continue;
      found = differ_as(row, split.parts, [&](const Part& part) {
        return sums_of(row, part, n).lse - sums_of(row, part, row.query).lse;
      });
      if (found && sums.size() < 4)
        sums.insert(fmt::format("row {} head {} takes those of row {} head {}", row.at().b,
                                row.at().h, other.b, other.h));
    }
    if (!found) return "";
  }
  return fmt::format(" The parts are weighed by the log-sum-exp of another query: {}.",
                     fmt::join(sums, "; "));
}

std::string ranges_of(const Split& split) {
  std::vector<std::string> all;
  for (const Part& part : split.parts)
    all.push_back(fmt::format("{}–{}", split.row->at().keys[split.row->keys[part.begin]].position,
                              split.row->at().keys[split.row->keys[part.end - 1]].position));
  return fmt::format("{}", fmt::join(all, ", "));
}

}  // namespace

/// Of a row of few keys any weights are those of parts: it must only have what the others have. A
/// key apart from all others is no part: two of several keys must show them.
std::optional<std::string> explain_parts(const std::vector<Row>& wrong, const std::vector<Row>&) {
  std::vector<Split> splits;
  const Split* telling = nullptr;
  splits.reserve(wrong.size());
  for (const Row& row : wrong) {
    splits.push_back({&row, parts_of(row)});
    const size_t parts = splits.back().parts.size();
    const bool is_split = row.keys.size() >= parts + 2;
    if (parts < 2 || (!is_split && row.keys.size() > 4)) return {};
    const auto large = std::count_if(splits.back().parts.begin(), splits.back().parts.end(),
                                     [](const Part& part) { return part.end - part.begin > 1; });
    if (row.keys.size() > 2 * parts && large > 1 && telling == nullptr) telling = &splits.back();
  }
  if (telling == nullptr) return {};
  std::string more = law_words(splits);
  if (more.empty()) more = other_words(splits);
  return fmt::format(
      "Within parts of the keys the weights are right, between the "
      "parts they are not: partial "
      "results (of tiles, splits or chunks) are merged with wrong "
      "sums or maxima. The parts: keys "
      "{}.{}",
      ranges_of(*telling), more);
}

}  // namespace attnfuzz::measure
