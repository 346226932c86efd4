#include "reports/triage/sizes_known.h"

#include <algorithm>
#include <cmath>

#include "reports/triage/layouts.h"

namespace attnfuzz::triage {
namespace {

size_t at(Axis axis) {
  return static_cast<size_t>(axis);
}

constexpr double kTrust = .8;    ///< that a size which the report tells is the call's own …
constexpr double kStated = .96;  ///< … and one that the reporter gave for the call
/// That an axis has another size in the second tensor: once, for there is an error; …
constexpr double kFirstConflict = .4;
constexpr double kConflict = .05;       ///< … and once more
constexpr double kSquare = .6;          ///< That two are wrong alike.
constexpr double kMisplaced = .006;     ///< that another axis stands at a place …
constexpr double kMaskMisplaced = .04;  ///< … of a mask, which code makes axis by axis

double believed(double trust) {
  return trust >= 1 ? kStated : kTrust * trust;
}

/// An axis that often has the size of another, and how often.
struct Often {
  Axis axis, other;
  double chance;
};
constexpr Often kOften[] = {{Axis::kv_len, Axis::q_len, .5},
                            {Axis::q_len, Axis::kv_len, .5},
                            {Axis::num_kv_heads, Axis::num_heads, .45},
                            {Axis::num_heads, Axis::num_kv_heads, .45},
                            {Axis::head_dim_v, Axis::head_dim, .9},
                            {Axis::head_dim, Axis::head_dim_v, .9},
                            {Axis::kv_hidden, Axis::hidden, .5},
                            {Axis::hidden, Axis::kv_hidden, .5},
                            {Axis::q_hidden, Axis::hidden, .7},
                            {Axis::capacity, Axis::kv_len, .2},
                            {Axis::kv_len, Axis::capacity, .2},
                            {Axis::past_len, Axis::kv_len, .1},
                            {Axis::batch_kv_heads, Axis::batch_heads, .5},
                            {Axis::batch_heads, Axis::batch_kv_heads, .5},
                            {Axis::max_positions, Axis::q_len, .1},
                            {Axis::kv_tokens, Axis::tokens, .5},
                            {Axis::tokens, Axis::kv_tokens, .5}};

struct Product {
  Axis product, one, other;
};
constexpr Product kProducts[] = {{Axis::hidden, Axis::num_heads, Axis::head_dim},
                                 {Axis::q_hidden, Axis::num_heads, Axis::head_dim},
                                 {Axis::kv_hidden, Axis::num_kv_heads, Axis::head_dim},
                                 {Axis::batch_heads, Axis::batch, Axis::num_heads},
                                 {Axis::batch_kv_heads, Axis::batch, Axis::num_kv_heads},
                                 {Axis::tokens, Axis::batch, Axis::q_len},
                                 {Axis::kv_tokens, Axis::batch, Axis::kv_len},
                                 {Axis::num_heads, Axis::num_kv_heads, Axis::group},
                                 {Axis::capacity, Axis::num_pages, Axis::page_size}};

/// An axis that is another some times over, and how often it is.
struct Multiple {
  Axis more, less;
  int64_t times;
  double chance;
};
constexpr Multiple kMultiples[] = {{Axis::head_dim, Axis::half_dim, 2, .8},
                                   {Axis::packed_head, Axis::head_dim, 3, .8},
                                   {Axis::qkv_hidden, Axis::hidden, 3, .5}};

/// sum = one + times * other.
struct Sum {
  Axis sum, one, other;
  int64_t times;
};
constexpr Sum kSums[] = {{Axis::kv_len, Axis::past_len, Axis::q_len, 1},
                         {Axis::memory_and_kv, Axis::memory_kv, Axis::kv_len, 1},
                         {Axis::qkv_hidden, Axis::hidden, Axis::kv_hidden, 2},
                         {Axis::qkv_hidden, Axis::q_hidden, Axis::kv_hidden, 2}};

}  // namespace

double log_near(Axis axis, int64_t size, int64_t known) {
  const int64_t less = std::min(size, known), more = std::max(size, known);
  double related = 0;
  if (less > 0 && more != less) {
    const bool multiple = more % less == 0;
    const double times = static_cast<double>(more) / static_cast<double>(less);
    constexpr double close = .1, share = .1;  // of all that differ: by less than a tenth
    if (is_length(axis) && times < 1 + close)
      related = share / (2 * close * static_cast<double>(known));
    if (is_length(axis))
      related = more == less + 1                           ? .12
                : more == 2 * less || more == 2 * less - 1 ? .08
                : more - less <= 8                         ? .02
                : multiple && times < 9                    ? .01
                                                           : related;
    else if (axis == Axis::batch || axis == Axis::batch_heads)
      related = multiple ? .25 / times : 0;
    else if (axis == Axis::kv_hidden || axis == Axis::qkv_hidden)
      related = multiple && times <= 16 ? .3 / times : 0;  // grouped heads
    else if (is_heads(axis))
      related = multiple ? .2 / times : 0;  // grouped heads
    else
      related = more == 2 * less ? .15 : more == less + 1 ? .006 : multiple && times < 9 ? .02 : 0;
  }
  return std::log(related + .6 * std::exp(log_prior(axis, size)) + 1e-12);
}

Sizes::Sizes(const std::vector<Fact>& facts) {
  const auto tell = [&](Axis axis, int64_t size, double trust) {
    auto& told = told_[at(axis)];
    for (Told& each : told)
      if (each.size == size) {
        each.trust = std::max(each.trust, trust);
        return;
      }
    if (trust <= told.back().trust) return;
    told.back() = {size, trust};
    std::sort(told.begin(), told.end(),
              [](const Told& x, const Told& y) { return x.trust > y.trust; });
  };
  for (const Fact& fact : facts) {
    if (fact.value <= 0) continue;
    if (fact.of == Role::mask) {
      mask_[at(fact.axis)][mask_[at(fact.axis)][0] != 0] = fact.value;
    } else if (fact.any_length) {
      tell(Axis::q_len, fact.value, fact.weight * .8);
      tell(Axis::kv_len, fact.value, fact.weight * .75);
    } else {
      tell(fact.axis, fact.value, fact.weight);
    }
  }
}

double Sizes::trust_in(Axis axis, int64_t size) const {
  for (const Told& each : told_[at(axis)])
    if (each.size == size) return each.trust;
  return 0;
}

int64_t Sizes::set_or_fact(Axis axis) const {
  constexpr double least = .4;
  const Told& told = told_[at(axis)].front();
  return set_[at(axis)] != 0 ? set_[at(axis)] : told.trust > least ? told.size : 0;
}

/// The chance that other axes' sizes give it, 0 where they say nothing; negative: how far they
/// speak against it.
double Sizes::related(Axis axis, int64_t size) const {
  double chance = 0, against = 0;
  const auto say = [&](bool holds, double often, double seldom) {
    (holds ? chance : against) = std::max(holds ? chance : against, holds ? often : seldom);
  };
  for (const Product& row : kProducts) {
    const int64_t product = set_or_fact(row.product), one = set_or_fact(row.one),
                  other = set_or_fact(row.other);
    if (row.product == axis && one > 0 && other > 0)
      say(one * other == size, .8, axis == Axis::hidden ? .5 : .8);
    if (row.one == axis && product > 0 && other > 0) say(product == size * other, .7, .4);
    if (row.other == axis && product > 0 && one > 0) say(product == size * one, .7, .4);
  }
  for (const Multiple& row : kMultiples) {
    const int64_t more = set_or_fact(row.more), less = set_or_fact(row.less);
    if (row.more == axis && less > 0) say(less * row.times == size, row.chance, .3);
    if (row.less == axis && more > 0) say(more == size * row.times, row.chance, .3);
  }
  for (const Sum& row : kSums) {
    const int64_t sum = set_or_fact(row.sum), one = set_or_fact(row.one),
                  other = set_or_fact(row.other);
    if (row.sum == axis && one > 0 && other > 0) say(one + row.times * other == size, .6, 0);
    if (row.one == axis && sum > 0 && other > 0) say(sum == size + row.times * other, .5, 0);
    if (row.other == axis && sum > 0 && one > 0) say(sum == one + row.times * size, .5, 0);
  }
  if (chance > 0) return chance;
  if (is_heads(axis)) {
    const int64_t other =
        set_or_fact(axis == Axis::num_heads ? Axis::num_kv_heads : Axis::num_heads);
    const int64_t most = std::max(other, size), least = std::min(other, size);
    if (other > 0 && other != size && ((axis == Axis::num_heads) == (size > other)) &&
        most % least == 0)
      return .12;
  }
  return -against;
}

double Sizes::chance_when_unset(Axis axis, int64_t size) const {
  double chance = std::exp(log_prior(axis, size));
  if (const double by = related(axis, size); by > 0)
    chance = by + (1 - by) * chance;
  else if (by < 0)
    chance *= 1 + by;
  for (const Often& row : kOften)
    if (row.axis == axis)
      if (const int64_t other = set_or_fact(row.other); other > 0) {
        chance = (other == size ? row.chance : 0) + (1 - row.chance) * chance;
        break;
      }
  const double here = believed(trust_in(axis, size)), any = believed(told_[at(axis)].front().trust);
  return here + (1 - any) * chance;
}

Sizes::Chance Sizes::chance(Axis axis, int64_t size, Role role) const {
  if (size <= 0) return {Term::size, 0};
  if (axis == Axis::none) return {Term::one, size == 1 ? 0. : -12.};
  if (role == Role::mask || role == Role::bias)
    for (const int64_t own : mask_[at(axis)])
      if (own == size && own > 1) return {Term::size, std::log(.8)};
  if (set_[at(axis)] == size) return {Term::size, std::log(.9)};
  if (size == 1) {
    // Masks and biases have a 1 where they are broadcast, whatever the axis has elsewhere.
    const bool broadcast = role == Role::mask || role == Role::bias;
    const double against = broadcast ? 0 : log_neither(axis, size, size);
    return {Term::one, std::log(chance_of_one(role, axis)) + against};
  }
  const double any = std::log(1 - chance_of_one(role, axis));
  if (set_[at(axis)] > 1)
    return {Term::conflict, (is_length(axis) && other_length_ == size) || other_[at(axis)] == size
                                ? any + std::log(kSquare)
                                : any + std::log(has_conflict_ ? kConflict : kFirstConflict) +
                                      log_near(axis, size, set_[at(axis)])};
  return {Term::size, any + std::log(std::max(1e-12, chance_when_unset(axis, size)))};
}

bool Sizes::is_told(Axis axis, int64_t size, Role role) const {
  constexpr double least = .4;
  const auto& own = mask_[at(axis)];
  const bool of_mask = role == Role::mask || role == Role::bias;
  return trust_in(axis, size) >= least ||
         (of_mask && std::find(own.begin(), own.end(), size) != own.end());
}

double Sizes::log_neither(Axis axis, int64_t one, int64_t other) const {
  const Told& told = told_[at(axis)].front();
  const bool neither = told.size > 0 && trust_in(axis, one) == 0 && trust_in(axis, other) == 0;
  return neither ? std::log(1 - believed(told.trust)) : 0;
}

Axis Sizes::other_axis_of(int64_t size, Axis but) const {
  for (size_t k = 1; k < kCount; ++k)
    if (set_[k] == size && k != at(but)) return static_cast<Axis>(k);
  for (size_t k = 1; k < kCount; ++k)
    if (trust_in(static_cast<Axis>(k), size) > .4 && k != at(but)) return static_cast<Axis>(k);
  return Axis::none;
}

void Sizes::place(Score& score, Role role, Axis axis, int64_t size, Axis& named) {
  named = axis;
  const Chance here = chance(axis, size, role);
  if (size > 1) {
    const bool conflicts = set_[at(axis)] != 0 && set_[at(axis)] != size;
    const Told& told = told_[at(axis)].front();
    const bool surprises = conflicts || (told.trust > .4 && trust_in(axis, size) == 0);
    if (surprises && axis != Axis::none) {
      const Axis other = other_axis_of(size, axis);
      const bool mask = role == Role::mask || role == Role::bias;
      const double there = std::log(mask ? kMaskMisplaced : kMisplaced);
      // hidden and num_heads * head_dim are two names, not two places.
      const bool renamed = is_features(axis) && is_features(other);
      if (other != Axis::none && !renamed && there > here.log) {
        // A mask that is square has queries' rows all the same.
        if (!(mask && is_length(axis) && is_length(other))) named = other;
        has_conflict_ = true;
        score.add(Term::misplaced, there);
        return;
      }
    }
    if (conflicts) {
      has_conflict_ = true;
      if (is_length(axis)) other_length_ = size;
      other_[at(axis)] = size;
    }
    if (set_[at(axis)] == 0 || set_[at(axis)] == 1) set(axis, size);
  } else if (size == 1 && set_[at(axis)] == 0 && axis != Axis::none) {
    set(axis, 0);
  }
  score.add(here.term, here.log);
}

}  // namespace attnfuzz::triage
