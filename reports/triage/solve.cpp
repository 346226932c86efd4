#include "reports/triage/solve.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

std::vector<Axis> axes_of(const Candidate& reading) {
  std::vector<Axis> axes;
  for (const Slot& slot : reading.slots) axes.push_back(slot.value == 1 ? Axis::none : slot.axis);
  return axes;
}

/// num_heads * head_dim is called hidden where it is as large.
void name_features(Candidate& reading) {
  const auto is_hidden = [&](int64_t size) {
    return std::any_of(reading.slots.begin(), reading.slots.end(), [&](const Slot& each) {
      return each.axis == Axis::hidden && each.value == size;
    });
  };
  for (Slot& slot : reading.slots)
    if (slot.axis == Axis::q_hidden && is_hidden(slot.value)) slot.axis = Axis::hidden;
}

/// Readings that name all numbers alike are one: their chances are added.
std::vector<Candidate> merged(std::vector<Scored> found) {
  struct Group {
    Score all;
    double best;  // of the ways in it
    Candidate reading;
  };
  std::map<std::vector<Axis>, Group> groups;
  for (Scored& each : found) {
    const double score = each.score.total();
    name_features(each.reading);
    auto [at, is_new] =
        groups.try_emplace(axes_of(each.reading), Group{each.score, score, each.reading});
    if (is_new) continue;
    Group& group = at->second;
    group.all.merge(each.score);
    if (score > group.best) {
      group.best = score;
      group.reading = std::move(each.reading);
    }
  }
  double most = -1e300, all = 0;
  for (const auto& [axes, group] : groups) most = std::max(most, group.all.total());
  std::vector<Candidate> readings;
  for (auto& [axes, group] : groups) {
    group.reading.chance = std::exp(group.all.total() - most);
    group.reading.terms = group.all.terms();
    all += group.reading.chance;
    readings.push_back(std::move(group.reading));
  }
  for (Candidate& each : readings) each.chance /= all;
  std::stable_sort(readings.begin(), readings.end(),
                   [](const Candidate& x, const Candidate& y) { return x.chance > y.chance; });
  return readings;
}

}  // namespace

bool agree(const Candidate& one, const Candidate& other) {
  return axes_of(one) == axes_of(other);
}

double agreed(const std::vector<Candidate>& candidates) {
  double chance = 0;
  for (const Candidate& each : candidates)
    if (agree(candidates[0], each)) chance += each.chance;
  return chance;
}

double support(const Candidate& reading, const Weights& weights) {
  double all = 0;
  for (const Term term : {Term::label, Term::number, Term::word, Term::code}) {
    const auto k = static_cast<size_t>(term);
    all += std::max(0., weights[k] * reading.terms[k]);
  }
  return all;
}

std::string_view name_of(Term term) {
  static constexpr std::string_view names[] = {
      "scene", "form",     "code",      "words", "label", "number", "layout", "size",
      "one",   "conflict", "misplaced", "lie",   "word",  "order",  "dim",    "near"};
  static_assert(std::size(names) == static_cast<size_t>(Term::count));
  return names[static_cast<size_t>(term)];
}

std::vector<Fact> facts_of_shapes(const Evidence& evidence, const Weights& weights) {
  constexpr double least = .6, likely = .4, trust = .75;
  std::vector<const LabelledShape*> labelled;
  for (const LabelledShape& each : evidence.shapes)
    if (each.role.strength >= least) labelled.push_back(&each);
  std::stable_sort(labelled.begin(), labelled.end(),
                   [](const auto* x, const auto* y) { return x->line < y->line; });
  if (labelled.empty()) return {};
  std::vector<Mention> mentions;
  for (const LabelledShape* each : labelled) mentions.push_back(each->shape);
  Evidence around = evidence;
  around.shapes.clear();
  around.operations.clear();
  around.forms = {};
  std::vector<Scored> found;
  solve_shapes(mentions, around, weights, found);
  const std::vector<Candidate> readings = merged(std::move(found));
  std::vector<Fact> facts;
  if (readings.empty() || readings[0].chance < likely) return facts;
  for (const Slot& slot : readings[0].slots)
    if (slot.axis != Axis::none && slot.value > 1)
      facts.push_back({slot.axis, slot.value, Role::none, trust, false});
  return facts;
}

std::vector<Candidate> solve(const std::vector<Mention>& mentions, const Evidence& evidence,
                             const Weights& weights) {
  std::vector<Scored> found;
  if (std::any_of(mentions.begin(), mentions.end(), is_shape))
    solve_shapes(mentions, evidence, weights, found);
  else
    solve_numbers(mentions, evidence, weights, found);
  return merged(std::move(found));
}

}  // namespace attnfuzz::triage
