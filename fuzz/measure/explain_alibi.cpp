#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// 2^(−8 (n + 1) / of): the slope of head n of so many.
double slope(double n, double of) {
  return std::exp2(-8 * (n + 1) / of);
}
double power_below(int64_t heads) {
  double power = 1;
  while (power * 2 <= static_cast<double>(heads)) power *= 2;
  return power;
}
double power_above(int64_t heads) {
  const double below = power_below(heads);
  return below < static_cast<double>(heads) ? 2 * below : below;
}

/// Which slope a query head may have.
struct Law {
  const char* words;
  double (*of)(const Problem& p, int64_t h);
};
double number(int64_t n) {
  return static_cast<double>(n);
}
constexpr Law laws[] = {
    {"2^(−8 (h + 1) / n), n the power of 2 below num_heads, and of the heads behind it every other "
     "slope of 2n heads, as published",
     [](const Problem& p, int64_t h) {
       const double power = power_below(p.num_heads), head = number(h);
       return head < power ? slope(head, power) : slope(2 * (head - power), 2 * power);
     }},
    {"2^(−8 (h + 1) / n), n the power of 2 below num_heads",
     [](const Problem& p, int64_t h) { return slope(number(h), power_below(p.num_heads)); }},
    {"2^(−8 (h + 1) / n), n the power of 2 above num_heads",
     [](const Problem& p, int64_t h) { return slope(number(h), power_above(p.num_heads)); }},
    {"2^(−8 h / num_heads): they begin with 1",
     [](const Problem& p, int64_t h) { return slope(number(h) - 1, number(p.num_heads)); }},
    {"those of the KV heads, counted over num_kv_heads",
     [](const Problem& p, int64_t h) {
       return slope(number(p.kv_head(h)), number(p.num_kv_heads));
     }},
    {"those of the KV heads, counted over num_heads",
     [](const Problem& p, int64_t h) { return slope(number(p.kv_head(h)), number(p.num_heads)); }},
    {"those of the heads within their group",
     [](const Problem& p, int64_t h) {
       const int64_t group = std::max<int64_t>(1, p.num_heads / p.num_kv_heads);
       return slope(number(h % group), number(group));
     }},
    {"in the opposite order of heads",
     [](const Problem& p, int64_t h) {
       return slope(number(p.num_heads - 1 - h), number(p.num_heads));
     }},
    {"head 0's for all heads",
     [](const Problem& p, int64_t) { return slope(0, number(p.num_heads)); }},
    {"2^−(h + 1)", [](const Problem&, int64_t h) { return std::exp2(-number(h) - 1); }},
    {"the right ones times the scale",
     [](const Problem& p, int64_t h) {
       return slope(number(h), number(p.num_heads)) * p.scale_value();
     }},
    {"0: the bias is not added", [](const Problem&, int64_t) { return 0.0; }},
    {"the right ones twice over",
     [](const Problem& p, int64_t h) { return 2 * slope(number(h), number(p.num_heads)); }},
};

/// A row's scores with another slope.
std::vector<double> with_slope(const Row& row, double slope) {
  std::vector<double> scores = scores_as(row, row.problem());
  const Problem& p = row.problem();
  for (size_t j = 0; j < scores.size(); ++j) {
    const Key& key = row.at().keys[row.keys[j]];
    const double distance = std::abs(number(row.at().position - key.position));
    scores[j] = finished(p, scores[j], key.position < 0 ? key.bias : -slope * distance);
  }
  return scores;
}

/// The slope that fits a row best, by least squares of log weights over distances; none where no
/// slope fits, or keys are too few to tell.
std::optional<double> slope_of(const Row& row) {
  const std::vector<double> flat = with_slope(row, 0), unit = with_slope(row, 1);
  double mean_x = 0, mean_y = 0, top = 0, bottom = 0;
  const auto count = static_cast<double>(row.keys.size());
  for (size_t j = 0; j < flat.size(); ++j) {
    mean_x += (unit[j] - flat[j]) / count;
    mean_y += (row.log_w[j] - flat[j]) / count;
  }
  for (size_t j = 0; j < flat.size(); ++j) {
    const double x = unit[j] - flat[j] - mean_x;
    top += x * (row.log_w[j] - flat[j] - mean_y);
    bottom += x * x;
  }
  if (bottom == 0) return {};
  const double found = top / bottom;
  if (row.spread_finished(with_slope(row, found)) > row.tolerance()) return {};
  return found;
}

}  // namespace

/// Other slopes of ALiBi: one for each query head, which all of its queries have.
std::optional<std::string> explain_alibi(const std::vector<Row>& wrong,
                                         const std::vector<Row>& right) {
  const auto is_alibi_alone = [](const Row& row) {
    const Mask& mask = row.problem().mask;
    return mask.find("alibi") != nullptr && mask.find("bias") == nullptr &&
           row.problem().softcap == 0;
  };
  if (!std::all_of(wrong.begin(), wrong.end(), is_alibi_alone)) return {};
  // Of two keys any weights have a slope; and keys on the query's other side one of the other sign.
  constexpr size_t enough = 4;
  const auto telling = static_cast<size_t>(
      std::count_if(wrong.begin(), wrong.end(), [](const Row& r) { return r.keys.size() > 2; }));
  if (telling < enough) return {};
  const auto all_have = [&](const std::vector<Row>& rows, const Law& law) {
    return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
      return !is_alibi_alone(row) ||
             row.spread_finished(with_slope(row, law.of(row.problem(), row.at().h))) <=
                 row.tolerance();
    });
  };
  for (const Law& law : laws)
    if (all_have(wrong, law) && all_have(right, law))
      return fmt::format("ALiBi's slopes are {}.", law.words);
  std::map<std::pair<const Scored*, int32_t>, double> seen;
  for (const Row& row : wrong) {
    const std::optional<double> found = slope_of(row);
    if (!found || *found < 0) return {};
    const auto [at, fresh] = seen.try_emplace({row.of, row.at().h}, *found);
    if (!fresh && std::abs(at->second - *found) > 0.02 * (0.01 + std::abs(*found))) return {};
  }
  const auto& [of, first] = *seen.begin();
  const Problem& p = of.first->plan->c.problem;
  return fmt::format(
      "ALiBi's slopes are others: that of head {} of {} is {:.4g} in the place of "
      "{:.4g}.",
      of.second, p.num_heads, first, slope(number(of.second), number(p.num_heads)));
}

}  // namespace attnfuzz::measure
