#include "fuzz/measure/tokens/swaps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace attnfuzz::measure {

void SwapFacts::add(const Plan& plan, const Query& query, const Reading& reading,
                    const Difference& all) {
  std::set<int64_t> heads;
  for (const Use& use : reading.uses) heads.insert(plan.sources[use.source].head);
  const Problem& p = plan.c.problem;
  const int64_t head = p.kv_head(query.h);
  if (heads.size() == 1)
    heads_used_.insert({query.h, p.num_heads, p.num_kv_heads, head, *heads.begin()});
  const bool right = all.hidden.empty() && all.missing.empty() && all.foreign.empty();
  are_all_ &= right || all.is_swap();
  if (all.foreign.empty() || all.missing.size() != all.foreign.size()) return;
  for (size_t n = 0; n < all.missing.size(); ++n)
    swaps_.push_back({all.missing[n], all.foreign[n], query.b, head});
}

bool SwapFacts::all(const auto& holds) const {
  return std::all_of(swaps_.begin(), swaps_.end(), holds);
}

std::string SwapFacts::place_words() const {
  const Swap& first = swaps_.front();
  const int64_t shift = first.to.position - first.from.position;
  if (all([](const Swap& s) { return s.to.position == s.from.position; }))
    return "the token at the same place";
  if (all([&](const Swap& s) { return s.to.position - s.from.position == shift; }))
    return fmt::format("the token {} place{} {}", std::abs(shift), std::abs(shift) == 1 ? "" : "s",
                       shift < 0 ? "before" : "behind");
  if (all([&](const Swap& s) { return s.to.position == first.to.position; }))
    return fmt::format("token {}", first.to.position);
  return "";
}

std::string SwapFacts::row_words(bool same_place) const {
  const auto of = [&](Place::Of kind) {
    return all([=](const Swap& s) { return s.to.of == kind; });
  };
  if (of(Place::Of::own_row)) return same_place ? "" : " of the same row";
  if (all([](const Swap& s) { return s.to.came == s.row; }))
    return " that came in the row itself, where it was moved away or dropped since";
  if (of(Place::Of::padding)) return " of a ragged step's padding";
  if (of(Place::Of::gone)) return " that the row held before, or that a row was to give up";
  if (of(Place::Of::later)) return " that comes in a later step";
  if (all([](const Swap& s) { return s.to.row == 0; })) return " of row 0";
  if (all([](const Swap& s) { return s.to.row == s.row - 1; })) return " of the row before";
  if (of(Place::Of::other_row)) return " of another row";
  return all([](const Swap& s) {
    return s.to.of == Place::Of::other_row || s.to.of == Place::Of::gone;
  })
             ? " of other rows, or that no row holds any more"
             : "";
}

std::string SwapFacts::head_words() const {
  if (all([](const Swap& s) { return s.to.head == s.head; })) return "";
  std::map<int64_t, std::set<int64_t>> heads;
  for (const Swap& s : swaps_) heads[s.head].insert(s.to.head);
  std::vector<std::string> pairs;
  for (const auto& [from, to] : heads)
    for (const int64_t each : to) pairs.push_back(fmt::format("{} → {}", from, each));
  const std::string law = head_law(heads_used_);
  return fmt::format(" of another KV head ({}){}{}", fmt::join(pairs, ", "),
                     law.empty() ? "" : ": ", law);
}

std::string SwapFacts::words() const {
  const std::string place = place_words();
  return (place.empty() ? "other tokens" : place) +
         row_words(place == "the token at the same place") + head_words();
}

}  // namespace attnfuzz::measure
