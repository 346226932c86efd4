#include "fuzz/measure/rope_angles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/reading.h"
#include "fuzz/measure/untold.h"
#include "fuzz/measure/weights.h"
#include "oracle/rope.h"

namespace attnfuzz::measure {
namespace {

constexpr double score = 2;  ///< of a query and a key that are turned alike

using Cosine = RopeAngles::Cosine;

std::vector<Cosine> cosines(const Plan& plan, const Weights& got) {
  std::vector<Cosine> all;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const auto own = std::find_if(query.keys.begin(), query.keys.end(),
                                  [&](const Key& key) { return key.position == query.position; });
    if (own == query.keys.end() || got.of(n)[own->source] <= 0) continue;
    const double most = std::log(got.of(n)[own->source]) - own->bias;
    for (const Key& key : query.keys) {
      const double w = got.of(n)[key.source];
      if (key.position >= 0 && key.position != query.position && w > 0)
        all.push_back({query.position - key.position, 1 + (std::log(w) - key.bias - most) / score});
    }
  }
  return all;
}

bool fit(const std::vector<Cosine>& all, double angle, double error) {
  return std::all_of(all.begin(), all.end(), [&](const Cosine& each) {
    return std::abs(std::cos(angle * static_cast<double>(each.distance)) - each.value) <= error;
  });
}

double angle_of(const Problem& p, double pair) {
  return std::pow(p.rope_base, -2 * pair / static_cast<double>(p.head_dim));
}

int64_t pair_of(const Problem& p, int64_t element) {
  return p.rope == Rope::half ? element % (p.head_dim / 2) : element / 2;
}

}  // namespace

/// What an element is turned by whose own angle a token is another.
RopeAngles::Element RopeAngles::turned_otherwise(const Problem& p,
                                                 const std::vector<Cosine>& cosines, double own,
                                                 double error) {
  // Over a few tokens a slow turn looks like none.
  constexpr double slow = 0.2;
  if (fit(cosines, 0, error))
    return {fit(cosines, slow * own, error) ? Element::Turned::unknown
                                            : Element::Turned::not_at_all};
  for (int64_t half = 0; half <= 4 * p.head_dim && has_plain_rope(p); ++half)
    if (fit(cosines, angle_of(p, static_cast<double>(half) / 2), error))
      return {Element::Turned::as_pair, static_cast<double>(half) / 2};
  double low = 0, high = 0;  // factors that fit
  for (double factor = 1.0 / 64; factor < 8; factor *= 1.002) {
    if (!fit(cosines, factor * own, error)) continue;
    if (low == 0) low = factor;
    high = factor;
  }
  constexpr double vague = 1.1;
  if (low == 0 || high > vague * low) return {Element::Turned::unknown};
  return {Element::Turned::by_factor, std::sqrt(low * high)};
}

void RopeAngles::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  constexpr int64_t most_runs = 700;
  constexpr size_t most_cases = 2;
  // Of a part of the head explain_rope_widths() tells more.
  if (p.rope == Rope::none || !p.rope_positions.empty() || p.rope_scaling.magnitude != 1 ||
      p.turned_dim() != p.head_dim || p.softcap > 0 || p.scale_value() <= 0 ||
      seen_.size() >= most_cases)
    return;
  const Plan plan = declared(c);
  const auto runs = static_cast<int64_t>(plan.sources.size()) / p.head_dim_v + 3;
  if (p.head_dim * runs > most_runs || !budget.allows(p.head_dim * runs)) return;
  const double error = 0.01 + 8 * weight_error(c, target.info().capabilities.precision_of(p.dtype));
  Seen seen{p, {}};
  for (int64_t d = 0; d < p.head_dim; ++d) {
    Forge forge(plan);
    forge.fill("bias", 0);
    const auto at = static_cast<size_t>(d);
    forge.queries([&](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
      row[at] = score / p.scale_value();
    });
    forge.keys([&](size_t, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
      row[at] = 1;
    });
    const std::optional<Weights> got = weigh(target, plan, forge, budget);
    if (!got) return;
    const std::vector<Cosine> all = cosines(plan, *got);
    if (all.size() < 2) return;
    Element& element = seen.elements.emplace_back();
    if (const double own = rope_frequency(p, pair_of(p, d)); !fit(all, own, error))
      element = turned_otherwise(p, all, own, error);
  }
  seen_.push_back(std::move(seen));
}

std::string RopeAngles::words_of(const Seen& seen) {
  std::vector<int64_t> right, wrong;
  std::vector<std::string> some;
  size_t known = 0;
  for (size_t d = 0; d < seen.elements.size(); ++d) {
    const Element& element = seen.elements[d];
    const auto at = static_cast<int64_t>(d);
    (element.turned == Element::Turned::right ? right : wrong).push_back(at);
    if (element.turned == Element::Turned::right) continue;
    known += element.turned != Element::Turned::unknown ? 1 : 0;
    constexpr size_t most = 4;
    const int64_t own = pair_of(seen.problem, at);
    if (some.size() >= most || element.turned == Element::Turned::unknown) continue;
    if (element.turned == Element::Turned::not_at_all)
      some.push_back(fmt::format("element {} is not turned", d));
    else if (element.turned == Element::Turned::by_factor)
      some.push_back(
          fmt::format("element {} turns {:.3g} times as far as it should", d, element.number));
    else
      some.push_back(
          fmt::format("element {} is turned as pair {:g} would be, in the place of "
                      "pair {}",
                      d, element.number, own));
  }
  // Where only some angles are other ones, and what they are is seen, that is the mistake.
  if (wrong.empty() || right.empty() || 2 * known < wrong.size()) return "";
  const auto size = static_cast<int64_t>(right.size());
  const std::string which = right.back() == size - 1
                                ? fmt::format("the first {} elements ({} pairs)", size, size / 2)
                                : fmt::format("elements {}", ranges(right));
  return fmt::format(
      "Rope turns only {} of {} by the right angles; elements {} are turned by other ones: {}.",
      which, seen.elements.size(), ranges(wrong), fmt::join(some, "; "));
}

std::vector<Statement> RopeAngles::statements() const {
  for (const Seen& seen : seen_)
    if (std::string words = words_of(seen); !words.empty()) return {{"rotation", std::move(words)}};
  return {};
}

}  // namespace attnfuzz::measure
