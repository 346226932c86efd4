#include "fuzz/measure/visible.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <climits>

#include "fuzz/measure/bits.h"

namespace attnfuzz::measure {
namespace {

struct Term {
  std::string words;
  int cost;
  Bits bits;
};

/// The cheapest of: up to three terms that all hold; two of which one holds, of one or two terms
/// each; one of two terms and another.
class Search {
 public:
  Search(const std::vector<Term>& terms, const Bits& goal) : goal_(goal) {
    for (const Term& term : terms) {
      if (is_within(goal, term.bits)) above_.push_back(&term);
      if (is_within(term.bits, goal) && !is_empty(term.bits)) below_.push_back(term);
    }
    all_of();
    if (best_.empty()) any_of(terms);
  }
  const std::string& words() const { return best_; }
  /// What must all hold; empty where that is not all there is to it.
  const std::vector<std::string>& parts() const { return parts_; }

 private:
  void take(int cost, const Bits& bits, const auto& words) {
    if (cost < cost_ && bits == goal_) {
      cost_ = cost;
      best_ = words();
      parts_.clear();
    }
  }
  void take_all(int cost, const Bits& bits, std::vector<std::string> parts) {
    if (cost >= cost_ || bits != goal_) return;
    cost_ = cost;
    best_ = fmt::format("{}", fmt::join(parts, ", and "));
    parts_ = std::move(parts);
  }

  void all_of() {
    for (size_t a = 0; a < above_.size(); ++a) {
      const Term& x = *above_[a];
      take_all(x.cost, x.bits, {x.words});
      for (size_t b = a + 1; b < above_.size(); ++b) {
        const Term& y = *above_[b];
        if (x.cost + y.cost >= cost_) continue;
        const Bits two = both(x.bits, y.bits);
        take_all(x.cost + y.cost, two, {x.words, y.words});
        for (size_t d = b + 1; d < above_.size(); ++d) {
          const Term& z = *above_[d];
          if (x.cost + y.cost + z.cost < cost_)
            take_all(x.cost + y.cost + z.cost, both(two, z.bits), {x.words, y.words, z.words});
        }
      }
    }
  }

  void any_of(const std::vector<Term>& terms) {
    std::vector<Term> parts = below_;
    constexpr size_t most_parts = 400;
    constexpr int most_cost = 4;
    for (size_t a = 0; a < terms.size(); ++a)
      for (size_t b = a + 1; b < terms.size() && parts.size() < most_parts; ++b) {
        if (terms[a].cost + terms[b].cost > most_cost) continue;
        Bits two = both(terms[a].bits, terms[b].bits);
        if (is_within(two, goal_) && !is_empty(two))
          parts.push_back({terms[a].words + ", and " + terms[b].words,
                           terms[a].cost + terms[b].cost, std::move(two)});
      }
    for (size_t a = 0; a < parts.size(); ++a)
      for (size_t b = a + 1; b < parts.size(); ++b)
        if (parts[a].cost + parts[b].cost + 1 < cost_)
          take(parts[a].cost + parts[b].cost + 1, either(parts[a].bits, parts[b].bits),
               [&] { return parts[a].words + "; or " + parts[b].words; });
    for (const Term& x : terms)
      for (const Term& y : terms) {
        if (&x >= &y || x.cost + y.cost > most_cost) continue;
        const Bits one = either(x.bits, y.bits);
        if (!is_within(goal_, one)) continue;
        for (const Term* z : above_)
          if (x.cost + y.cost + z->cost + 1 < cost_)
            take(x.cost + y.cost + z->cost + 1, both(one, z->bits),
                 [&] { return fmt::format("{}, and ({}, or {})", z->words, x.words, y.words); });
      }
  }

  const Bits& goal_;
  std::vector<const Term*> above_;
  std::vector<Term> below_;
  std::string best_;
  std::vector<std::string> parts_;
  int cost_ = INT_MAX;
};

/// Where nothing but a part of what must hold is missing: which.
std::string not_applied(const std::vector<std::string>& measured,
                        const std::vector<std::string>& right) {
  std::vector<std::string> left;
  for (const std::string& part : right)
    if (std::find(measured.begin(), measured.end(), part) == measured.end()) left.push_back(part);
  if (left.empty() || left.size() + measured.size() != right.size()) return "";
  return fmt::format(" Not applied: {}.", fmt::join(left, ", and "));
}

}  // namespace

void VisibleFacts::add(const Plan& plan, const Query& query, const std::vector<uint8_t>& seen) {
  std::vector<VisibleAtom> atoms = visible_atoms(plan, query);
  atoms_.resize(atoms.size());
  for (size_t a = 0; a < atoms.size(); ++a) {
    atoms_[a].words = std::move(atoms[a].words);
    atoms_[a].cost = std::max(atoms_[a].cost, atoms[a].cost);
    atoms_[a].holds.insert(atoms_[a].holds.end(), atoms[a].holds.begin(), atoms[a].holds.end());
  }
  seen_.insert(seen_.end(), seen.begin(), seen.end());
  const size_t first = declared_.size();
  declared_.resize(seen_.size(), 0);
  for (const Key& key : query.keys)
    if (key.position >= 0) declared_[first + key.place] = 1;
}

std::string VisibleFacts::words() const {
  const Bits seen = packed(seen_), declared = packed(declared_);
  if (seen == declared || is_empty(seen)) return "";
  std::vector<Term> terms;
  std::vector<const VisibleAtom*> order;
  for (const VisibleAtom& atom : atoms_) order.push_back(&atom);
  std::stable_sort(order.begin(), order.end(),
                   [](const VisibleAtom* a, const VisibleAtom* b) { return a->cost < b->cost; });
  for (const VisibleAtom* atom : order) {
    Term term{atom->words, atom->cost, packed(atom->holds)};
    if (std::all_of(atom->holds.begin(), atom->holds.end(), [](uint8_t x) { return x == 1; }))
      continue;
    if (std::none_of(terms.begin(), terms.end(),
                     [&](const Term& other) { return other.bits == term.bits; }))
      terms.push_back(std::move(term));
  }
  const Search right(terms, declared);
  const bool every = std::all_of(seen_.begin(), seen_.end(), [](uint8_t x) { return x != 0; });
  const Search measured(terms, seen);
  if (!every && measured.words().empty()) return "";
  std::string words =
      every ? "A query sees every key of its row."
            : fmt::format("A query sees a key of its row exactly where {}.", measured.words());
  if (!right.words().empty()) words += fmt::format(" (The case says: where {}.)", right.words());
  return words + not_applied(every ? std::vector<std::string>{} : measured.parts(), right.parts());
}

}  // namespace attnfuzz::measure
