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
    if (best_.empty()) few_of();
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

  /// As few of all that must hold as say it, where three are too few: the costliest go first.
  void few_of() {
    constexpr size_t most = 5;
    std::vector<const Term*> left = above_;
    std::stable_sort(left.begin(), left.end(),
                     [](const Term* a, const Term* b) { return a->cost < b->cost; });
    const auto is_goal = [&](const std::vector<const Term*>& of) {
      if (of.empty()) return false;
      Bits bits = of.front()->bits;
      for (const Term* term : of) bits = both(bits, term->bits);
      return bits == goal_;
    };
    if (!is_goal(left)) return;
    for (size_t n = left.size(); n-- > 0;) {
      std::vector<const Term*> fewer = left;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(n));
      if (is_goal(fewer)) left = std::move(fewer);
    }
    if (left.size() > most) return;
    int cost = 0;
    std::vector<std::string> parts;
    for (const Term* term : left) {
      cost += term->cost;
      parts.push_back(term->words);
    }
    take_all(cost, goal_, std::move(parts));
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

/// "the key is not in the prefix" for "the key is in the prefix", and the other way round; empty
/// for what has more than one part.
std::string negated(const std::string& words) {
  if (words.find(", or ") != std::string::npos) return "";
  for (const auto& [from, to] :
       {std::pair{" is not ", " is "}, {" is no ", " is "}, {" is ", " is not "}})
    if (const size_t at = words.find(from); at != std::string::npos)
      return words.substr(0, at) + to + words.substr(at + std::string_view(from).size());
  return "";
}

/// What a rule may be made of, the plainest first: the atoms, and their opposites. Of those that
/// hold for the same keys the plainest is there alone.
std::vector<Term> terms_of(const std::vector<VisibleAtom>& atoms) {
  std::vector<Term> all;
  for (const VisibleAtom& atom : atoms) {
    all.push_back({atom.words, atom.cost, packed(atom.holds)});
    std::string opposite = negated(atom.words);
    if (opposite.empty()) continue;
    std::vector<uint8_t> holds(atom.holds);
    for (uint8_t& each : holds) each = each == 0 ? 1 : 0;
    all.push_back({std::move(opposite), atom.cost + 1, packed(holds)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Term& a, const Term& b) { return a.cost < b.cost; });
  std::vector<Term> terms;
  for (Term& term : all)
    if (!is_empty(term.bits) && count_of(term.bits) < atoms.front().holds.size() &&
        std::none_of(terms.begin(), terms.end(),
                     [&](const Term& other) { return other.bits == term.bits; }))
      terms.push_back(std::move(term));
  return terms;
}

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
  const std::vector<Term> terms = terms_of(atoms_);
  const Search right(terms, declared);
  const bool every = std::all_of(seen_.begin(), seen_.end(), [](uint8_t x) { return x != 0; });
  const Search measured(terms, seen);
  if (!every && measured.words().empty()) return "";
  std::string words =
      every ? "A query sees every key of its row."
            : fmt::format("A query sees a key of its row exactly where {}.", measured.words());
  if (!right.words().empty()) words += fmt::format(" (The case says: where {}.)", right.words());
  const bool is_conjunction = every || !measured.parts().empty();
  return is_conjunction ? words + not_applied(measured.parts(), right.parts()) : words;
}

}  // namespace attnfuzz::measure
