#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "fuzz/measure/relate.h"
#include "fuzz/measure/scores.h"
#include "fuzz/measure/untold.h"
#include "oracle/rope.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

bool all_fit(const std::vector<Row>& rows, const auto& change) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    Problem as = row.problem();
    change(as);
    return row.fits(scores_as(row, as));
  });
}

/// Another rope for all: none, other pairs, another base.
std::optional<std::string> other_rope(const std::vector<Row>& wrong, const std::vector<Row>&) {
  if (all_fit(wrong, [](Problem& p) { p.rope = Rope::none; }))
    return "Neither q nor k is rotated by its position.";
  if (all_fit(wrong,
              [](Problem& p) { p.rope = p.rope == Rope::half ? Rope::interleaved : Rope::half; }))
    return "Rope rotates the other pairs: elements 2n and 2n + 1 in the place "
           "of n and n + "
           "head_dim/2, or the other way round.";
  const Problem& own = wrong.front().problem();
  const RopeLaw law = own.rope_scaling.law;
  if (law != RopeLaw::none && all_fit(wrong, [](Problem& p) { p.rope_scaling = {}; }))
    return fmt::format("Rope is not scaled: neither by {} nor by a magnitude.", name(law));
  if (!own.rope_positions.empty() && all_fit(wrong, [](Problem& p) { p.rope_positions.clear(); }))
    return "Rope goes by the places of the tokens, not by the given positions.";
  if (own.rope_scaling.magnitude != 1 &&
      all_fit(wrong, [](Problem& p) { p.rope_scaling.magnitude = 1; }))
    return "Rotated q and k are not multiplied by rope's magnitude.";
  for (const double base : {1e4, 5e5, 1e6, 1e3, 1e5, 2.0, 100.0})
    if (all_fit(wrong, [=](Problem& p) { p.rope_base = base; }))
      return fmt::format("Rope's base is {:g}.", base);
  return {};
}

/// Scores where only q or only k is rotated, or pairs from `first` to `last`
/// alone.
double partial_score(const Row& row, size_t j, bool turns_q, bool turns_k, int64_t first,
                     int64_t last) {
  const Problem& p = row.problem();
  const Key& key = row.at().keys[j];
  const std::span<const double> q = row.of->vectors->q(row.query),
                                k = row.of->vectors->k(key.source);
  const int64_t dim = p.turned_dim(), begin = p.turned_begin();
  const auto at = [&](int64_t place) { return static_cast<double>(p.rope_position(place)); };
  double sum = 0;
  for (int64_t d = 0; d < static_cast<int64_t>(q.size()); ++d)
    if (d < begin || d >= begin + dim) sum += q[static_cast<size_t>(d)] * k[static_cast<size_t>(d)];
  for (int64_t n = 0; n < dim / 2; ++n) {
    const auto a = static_cast<size_t>(begin + (p.rope == Rope::half ? n : 2 * n));
    const auto b = static_cast<size_t>(begin + (p.rope == Rope::half ? n + dim / 2 : 2 * n + 1));
    const double frequency = rope_frequency(p, n);
    const bool within = n >= first && n < last;
    const double at_q = turns_q && within ? at(row.at().position) * frequency : 0;
    const double at_k = turns_k && within && key.position >= 0 ? at(key.position) * frequency : 0;
    const double angle = at_q - at_k;
    const int turned = within ? static_cast<int>(turns_q) + static_cast<int>(turns_k) : 0;
    sum += std::pow(p.rope_scaling.magnitude, turned) *
           (std::cos(angle) * (q[a] * k[a] + q[b] * k[b]) +
            std::sin(angle) * (q[a] * k[b] - q[b] * k[a]));
  }
  return p.scale_value() * sum;
}

bool partial_fits(const std::vector<Row>& wrong, bool turns_q, bool turns_k, int64_t first,
                  int64_t part, int64_t of) {
  return std::all_of(wrong.begin(), wrong.end(), [&](const Row& row) {
    const int64_t pairs = row.problem().turned_dim() / 2;
    std::vector<double> scores;
    for (const size_t j : row.keys)
      scores.push_back(
          partial_score(row, j, turns_q, turns_k, first * pairs / of, part * pairs / of));
    return row.fits(scores);
  });
}

/// How many elements rope may take for the whole head.
struct Width {
  const char* words;
  int64_t (*of)(const Problem&);
};
constexpr Width widths[] = {
    {"head_dim", [](const Problem& p) { return p.head_dim; }},
    {"head_dim / 2", [](const Problem& p) { return p.head_dim / 2; }},
    {"head_dim / 4", [](const Problem& p) { return p.head_dim / 4; }},
    {"3/4 of head_dim", [](const Problem& p) { return p.head_dim * 3 / 4; }},
    {"half of those that it should rotate", [](const Problem& p) { return p.turned_dim() / 2; }},
    {"as many as it should rotate", [](const Problem& p) { return p.turned_dim(); }},
    {"16 for every head_dim", [](const Problem&) { return int64_t{16}; }},
    {"32 for every head_dim", [](const Problem&) { return int64_t{32}; }},
    {"64 for every head_dim", [](const Problem&) { return int64_t{64}; }},
    {"128 for every head_dim", [](const Problem&) { return int64_t{128}; }},
};

bool has_width(const Row& row, const Width& width) {
  const int64_t dim = width.of(row.problem());
  return dim >= 2 && dim % 2 == 0 && dim <= row.problem().head_dim;
}

/// Rope over the first or the last so many elements, as if they were all of the head.
std::optional<std::string> other_part(const std::vector<Row>& wrong) {
  const Problem& p = wrong.front().problem();
  for (const Width& width : widths)
    for (const RopePart part : {RopePart::first, RopePart::last}) {
      if (!std::all_of(wrong.begin(), wrong.end(),
                       [&](const Row& row) { return has_width(row, width); }))
        continue;
      if (!all_fit(wrong, [&](Problem& as) {
            const int64_t dim = width.of(as);
            as.rope_dim = dim == as.head_dim ? 0 : dim;
            as.rope_part = part;
          }))
        continue;
      const int64_t dim = width.of(p);
      if (dim == p.head_dim) return fmt::format("Rope rotates all {} elements of the head.", dim);
      return fmt::format(
          "Rope rotates the {} {} of {} elements only, as if these were the whole head ({}).",
          name(part), dim, p.head_dim, width.words);
    }
  return {};
}

std::optional<std::string> partial_rope(const std::vector<Row>& wrong, const std::vector<Row>&) {
  if (std::optional<std::string> words = other_part(wrong)) return words;
  if (partial_fits(wrong, true, false, 0, 1, 1))
    return "Rope rotates q alone; keys stay as they are.";
  if (partial_fits(wrong, false, true, 0, 1, 1))
    return "Rope rotates keys alone; q stays as it is.";
  constexpr int64_t most = 64;
  const int64_t pairs = std::min(most, wrong.front().problem().turned_dim() / 2);
  for (const int64_t of : {int64_t{2}, int64_t{4}, pairs})
    for (int64_t part = 1; part < of; ++part) {
      if (partial_fits(wrong, true, true, 0, part, of))
        return fmt::format("Rope rotates the first {} of {} pairs of elements only.",
                           part * wrong.front().problem().turned_dim() / 2 / of,
                           wrong.front().problem().turned_dim() / 2);
      if (partial_fits(wrong, true, true, part, of, of))
        return fmt::format("Rope does not rotate the first {} of {} pairs of elements.",
                           part * wrong.front().problem().turned_dim() / 2 / of,
                           wrong.front().problem().turned_dim() / 2);
    }
  return {};
}

constexpr int64_t farthest = 96;

/// The shift of the query's position, the smallest, with which these of a row's
/// keys fit among themselves (and with `anchor`, where there is one); none: no
/// shift does.
struct Group {
  std::vector<size_t> keys;  ///< of Row::keys
};
std::optional<int64_t> shift_of(const Row& row, const Group& group, const Group* anchor) {
  for (int64_t size = 0; size <= farthest; ++size)
    for (const int64_t shift : {size, -size}) {
      Row part = row;
      part.keys.clear();
      part.log_w.clear();
      std::vector<double> scores;
      const auto add = [&](const Group& from, int64_t by) {
        for (const size_t n : from.keys) {
          const Key& key = row.at().keys[row.keys[n]];
          part.keys.push_back(row.keys[n]);
          part.log_w.push_back(row.log_w[n]);
          scores.push_back(row.of->vectors->score(row.problem(), row.query, row.at().position + by,
                                                  key.source, key.position));
        }
      };
      if (anchor != nullptr) add(*anchor, 0);
      add(group, shift);
      if (part.spread(scores) <= part.tolerance()) return shift;
      if (size == 0) break;
    }
  return {};
}

/// Numbers that nothing is known to be made of are no rule.
std::string unless_known(const Relation& relation) {
  return relation.is_known() ? "" : " " + std::string(untold_number);
}

/// One shift for all keys of a query.
std::optional<std::string> query_shift(const std::vector<Row>& wrong,
                                       const std::vector<Row>& right) {
  Relation relation;
  for (const Row& row : right) relation.add_guess(*row.of->plan, row.at(), 0);
  for (const Row& row : wrong) {
    Group all;
    for (size_t n = 0; n < row.keys.size(); ++n) all.keys.push_back(n);
    if (row.keys.size() < 3 && wrong.size() < 4) return {};
    const std::optional<int64_t> shift = shift_of(row, all, nullptr);
    if (!shift) return {};
    relation.add(*row.of->plan, row.at(), *shift);
  }
  return fmt::format(
      "Rope rotates the query as if it stood {} farther from "
      "its keys than it does.{}",
      relation.words("place"), unless_known(relation));
}

/// Keys that came with earlier steps are shifted against those of the query's
/// own.
std::optional<std::string> step_shifts(const std::vector<Row>& wrong,
                                       const std::vector<Row>& right) {
  Relation relation;
  for (const Row& row : right) {
    std::set<int32_t> steps;
    for (const size_t j : row.keys)
      steps.insert(row.of->plan->sources[row.at().keys[j].source].step);
    if (steps.erase(row.at().step) > 0)
      for (const int32_t step : steps) relation.add_guess(*row.of->plan, row.at(), 0, step);
  }
  struct Shift {
    const Row* row;
    int64_t places;
    int32_t step;
    bool sure;  ///< several keys tell it
  };
  std::vector<Shift> shifts;
  for (const Row& row : wrong) {
    std::map<int32_t, Group> groups;
    for (size_t n = 0; n < row.keys.size(); ++n)
      groups[row.of->plan->sources[row.at().keys[row.keys[n]].source].step].keys.push_back(n);
    const auto own = groups.find(row.at().step);
    if (own == groups.end() || groups.size() < 2) return {};
    if (own->second.keys.size() > 1 && shift_of(row, own->second, nullptr) != 0) return {};
    for (const auto& [step, group] : groups) {
      // One key tells its shift where weights are known well enough.
      constexpr double well = 0.01;
      if (step == row.at().step) continue;
      if (group.keys.size() < 2 && row.tolerance() > well) continue;
      const std::optional<int64_t> shift = shift_of(row, group, &own->second);
      if (!shift) return {};
      shifts.push_back({&row, *shift, step, group.keys.size() > 1});
    }
  }
  if (shifts.empty()) return {};
  const bool any_sure =
      std::any_of(shifts.begin(), shifts.end(), [](const Shift& each) { return each.sure; });
  for (const Shift& each : shifts)
    if (each.sure || !any_sure)
      relation.add(*each.row->of->plan, each.row->at(), each.places, each.step);
    else
      relation.add_guess(*each.row->of->plan, each.row->at(), each.places, each.step);
  return fmt::format(
      "Against the keys of the query's own step, rope places "
      "keys of earlier steps {} "
      "farther back than they stand.{}",
      relation.words("place"), unless_known(relation));
}

}  // namespace

std::optional<std::string> explain_rotation(const std::vector<Row>& wrong,
                                            const std::vector<Row>& right) {
  if (std::any_of(wrong.begin(), wrong.end(),
                  [](const Row& r) { return r.problem().rope == Rope::none; }))
    return {};
  for (const Explain explain : {other_rope, partial_rope, query_shift, step_shifts})
    if (std::optional<std::string> words = explain(wrong, right)) return words;
  return {};
}

}  // namespace attnfuzz::measure
