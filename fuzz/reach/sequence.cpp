#include "fuzz/reach/sequence.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/claims.h"
#include "fuzz/reach/dead_claims.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

constexpr double usual_work = 1 << 22;     ///< a planned case stays below where its goal lets it
constexpr double work_per_case = 1 << 21;  ///< of the campaign, that goals may take
constexpr int tries = 60;                  ///< to find a case that reaches a goal,
constexpr int tries_for_cheap = 6;         ///< and to find a cheap one
constexpr uint64_t boundary_stride = 2, pair_stride = 4;
constexpr double again_work = 1 << 19;  ///< a goal of so much is aimed at again as any other
constexpr int percent_again = 6;  ///< of the cases behind the plan that aim at a goal once more
constexpr double most_again = 4;  ///< times the work of the case that was planned for it
constexpr uint64_t plan_key = 0x7265616368;  ///< draws of the plan are none of the campaign's

/// Goals without those of features that no case can use, which dead_claims() tells.
std::vector<Goal> usable(std::vector<Goal> goals, const FeatureSet& unusable) {
  std::erase_if(goals, [&](const Goal& goal) { return (goal.words & unusable).any(); });
  return goals;
}

}  // namespace

/// The cheapest case that was found for a goal.
struct Sequence::Draft {
  Entry entry{};
  std::optional<Case> c;
  size_t crossed = 0;  ///< boundaries, where a target is compiled for each case
};

Sequence::Sequence(const Capabilities& capabilities, uint64_t seed)
    : generator_(capabilities),
      unusable_(unusable_features(generator_)),
      compiled_for_(generator_.claims()),
      seed_(seed),
      goals_(usable(goals_of(generator_.claims()), unusable_)),
      states_(goals_.size(), State::open),
      costs_(goals_.size(), 0),
      next_boundary_slot_(compiled_for_.any() ? 0 : 1),
      next_pair_slot_(2) {
  for (size_t k = 0; k < goals_.size(); ++k)
    if (goals_[k].is_pair) pairs_.push_back(k);
  const auto draw = seeded_draw(seed ^ plan_key, 0);
  for (size_t k = pairs_.size(); k > 1; --k)
    std::swap(pairs_[k - 1],
              pairs_[static_cast<size_t>(draw->between(0, static_cast<int64_t>(k) - 1))]);
  plan_boundaries();
}

Sequence::~Sequence() = default;

Case Sequence::make(const Entry& entry) const {
  return generator_(*seeded_draw(seed_ ^ plan_key, entry.draw),
                    aim_at(goals_[entry.goal], entry.aimed));
}

/// Looks for a case that reaches the goal; one that stays below the usual work is good enough.
bool Sequence::try_goal(size_t goal, Draft& draft) const {
  for (int k = 0; k < tries && !(draft.c && k >= tries_for_cheap); ++k) {
    Entry entry{goal, 1 + goal * tries + static_cast<uint64_t>(k), 0, usual_work};
    Case c = make(entry);
    if (!reaches(marks_of(c), goals_[goal])) continue;
    entry.work = work(c);
    if (!draft.c || entry.work < draft.entry.work) draft = {entry, std::move(c)};
    if (entry.work <= usual_work) break;
  }
  return draft.c.has_value();
}

/// Goals that this case reaches need none of their own.
void Sequence::mark(const Case& c) {
  const CaseMarks marks = marks_of(c);
  for (size_t k = 0; k < goals_.size(); ++k)
    if (states_[k] == State::open && reaches(marks, goals_[k])) states_[k] = State::covered;
}

void Sequence::place(Entry entry, uint64_t first_slot, uint64_t stride, uint64_t& next) {
  planned_work_ += entry.work;
  const auto earliest = static_cast<uint64_t>(planned_work_ / work_per_case);
  entry.index = next;
  if (earliest > next)
    entry.index = first_slot + (earliest - first_slot + stride - 1) / stride * stride;
  next = entry.index + stride;
  by_index_[entry.index] = plan_.size();
  plan_.push_back(entry);
}

/// How many boundaries a case crosses.
size_t Sequence::crossed(const Case& c) const {
  const CaseMarks marks = marks_of(c);
  return static_cast<size_t>(std::count_if(goals_.begin(), goals_.end(), [&](const Goal& goal) {
    return !goal.is_pair && reaches(marks, goal);
  }));
}

/// Cheap ones first. Where each costs a compilation, those that cross most boundaries at once.
void Sequence::plan_boundaries() {
  std::vector<Draft> drafts;
  for (size_t goal = 0; goal < goals_.size(); ++goal) {
    if (goals_[goal].is_pair || states_[goal] != State::open) continue;
    Draft draft;
    if (!try_goal(goal, draft)) {
      states_[goal] = State::impossible;
    } else if (draft.entry.work > most_work) {
      states_[goal] = State::too_costly;
      costs_[goal] = draft.entry.work;
    } else {
      if (compiled_for_.any()) draft.crossed = crossed(*draft.c);
      drafts.push_back(std::move(draft));
    }
  }
  std::stable_sort(drafts.begin(), drafts.end(), [](const Draft& a, const Draft& b) {
    return a.crossed != b.crossed ? a.crossed > b.crossed : a.entry.work < b.entry.work;
  });
  for (const Draft& draft : drafts) {
    if (compiled_for_.any() && states_[draft.entry.goal] == State::covered) continue;
    states_[draft.entry.goal] = State::planned;
    if (compiled_for_.any())
      place(draft.entry, 0, 2 * cases_per_compilation, next_boundary_slot_);
    else
      place(draft.entry, 1, boundary_stride, next_boundary_slot_);
    boundaries_.push_back(plan_.size() - 1);
    mark(*draft.c);
  }
}

/// False: there is none left.
bool Sequence::plan_next_pair() {
  if (compiled_for_.any()) return false;  // each compilation serves pairs of its own
  for (; next_pair_ < pairs_.size(); ++next_pair_) {
    const size_t goal = pairs_[next_pair_];
    if (states_[goal] != State::open) continue;
    Draft draft;
    if (!try_goal(goal, draft)) {
      states_[goal] = State::impossible;
      continue;
    }
    states_[goal] = State::planned;
    mark(*draft.c);
    place(draft.entry, 2, pair_stride, next_pair_slot_);
    return true;
  }
  return false;
}

void Sequence::plan_until(uint64_t index) {
  while (next_pair_slot_ <= index && plan_next_pair()) {
  }
}

const std::vector<Sequence::Entry>& Sequence::plan() {
  while (plan_next_pair()) {
  }
  return plan_;
}

/// A dear goal is aimed at as much less often as it is dearer.
Case Sequence::at_random(uint64_t index) const {
  const auto draw = seeded_draw(seed_, index);
  if (boundaries_.empty() || !draw->chance(percent_again)) return generator_(*draw);
  const Entry& entry = plan_[draw->pick(std::span<const size_t>(boundaries_))];
  const double part = again_work / std::max(entry.work, again_work);
  constexpr int64_t whole = 1 << 20;
  if (static_cast<double>(draw->between(0, whole - 1)) >= part * whole) return generator_(*draw);
  Case c = generator_(*draw, aim_at(goals_[entry.goal], entry.aimed));
  return work(c) <= most_again * std::max(entry.work, usual_work) ? c : generator_(*draw);
}

/// The features that a target is compiled for take turns, where no boundary is planned.
FeatureSet Sequence::turn_of(uint64_t number) const {
  std::vector<size_t> all;
  for (size_t k = 0; k < feature_words().size(); ++k)
    if (compiled_for_.words()[k] && claims().declared(k)) all.push_back(k);
  return all.empty() ? FeatureSet{} : FeatureSet().set(all[number / 2 % all.size()]);
}

const Sequence::Compilation& Sequence::compilation(uint64_t number) {
  if (compilation_ && compilation_->number == number) return *compilation_;
  const uint64_t index = number * cases_per_compilation;
  const auto planned = by_index_.find(index);
  const FeatureSet turn = turn_of(number);
  const auto draw = seeded_draw(seed_, index);
  Compilation next{number,
                   planned == by_index_.end() ? generator_(*draw) : make(plan_[planned->second]),
                   {},
                   {},
                   {}};
  next.marks = marks_of(next.first);
  for (int k = 1; k < tries && planned == by_index_.end() && (turn & ~next.marks.words).any();
       ++k) {
    next.first = generator_(*draw);
    next.marks = marks_of(next.first);
  }
  for (const size_t pair : pairs_) {
    if (!compiled_for_.admits(next.marks, goals_[pair].words)) continue;
    ((goals_[pair].words & turn & next.marks.words).any() ? next.own : next.pairs).push_back(pair);
  }
  return compilation_.emplace(std::move(next));
}

/// A case of the compilation whose turn it is; every fourth is aimed at a pair of features.
Case Sequence::compiled(uint64_t index) {
  const Compilation& now = compilation(index / cases_per_compilation);
  if (index % cases_per_compilation == 0) return now.first;
  Aim aim;
  aim.work = std::max(work(now.first), usual_work);
  if (index % pair_stride == 2) {
    const uint64_t turn = index % cases_per_compilation / pair_stride;
    if (turn < now.own.size())
      aim.words = goals_[now.own[turn]].words;
    else if (!now.pairs.empty())
      aim.words = goals_[now.pairs[index / pair_stride % now.pairs.size()]].words;
  }
  aim = compiled_for_.within(now.marks, aim);
  const auto draw = seeded_draw(seed_, index);
  Case c = generator_(*draw, aim);
  for (int k = 1; k < tries && !compiled_for_.same(marks_of(c), now.marks); ++k)
    c = generator_(*draw, aim);
  return c;
}

Case Sequence::operator()(uint64_t index) {
  if (compiled_for_.any()) return compiled(index);
  plan_until(index);
  const auto planned = by_index_.find(index);
  return planned == by_index_.end() ? at_random(index) : make(plan_[planned->second]);
}

std::string Sequence::rejection_reason(size_t goal, uint64_t cases) {
  plan_until(cases);
  switch (states_[goal]) {
    case State::impossible:
      return fmt::format("no case inside the claims was found in {} tries", tries);
    case State::too_costly:
      return fmt::format(
          "too costly: {:.1g} multiplications, and a campaign spends at most {:.1g} on a case",
          costs_[goal], most_work);
    case State::planned:
      for (const Entry& entry : plan_)
        if (entry.goal == goal && entry.index >= cases)
          return fmt::format("the budget ended before: its case is number {}", entry.index);
      return "the target declined its case, or the case is another shard's";
    case State::open:
      return "the budget ended before its turn";
    case State::covered:
      return "the case planned for it was not run, or the target declined it";
  }
  return {};
}

ReachCounter::ReachCounter(const std::vector<Goal>& goals) : goals_(goals) {
  for (size_t k = 0; k < goals.size(); ++k) open_.push_back(k);
}

void ReachCounter::count(const Case& c, Reach& reach) {
  if (open_.empty()) return;
  const CaseMarks marks = marks_of(c);
  std::erase_if(open_, [&](size_t k) {
    const bool reached = reaches(marks, goals_[k]);
    if (reached) reach[goals_[k].name].clear();
    return reached;
  });
}

void add_missed(Sequence& sequence, uint64_t cases, Reach& reach) {
  for (size_t k = 0; k < sequence.goals().size(); ++k)
    if (!reach.contains(sequence.goals()[k].name))
      reach[sequence.goals()[k].name] = sequence.rejection_reason(k, cases);
}

}  // namespace attnfuzz
