#include "fuzz/measure/where.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <functional>
#include <set>

#include "fuzz/measure/bits.h"

namespace attnfuzz::measure {

/// A part of a condition: which things it holds for, with all that are marked among them.
struct Where::Part {
  std::string words;
  Bits holds;
  size_t count = 0;
  int cost = 0;
};

namespace {

using Kind = Where::Attribute::Kind;

/// What a part costs: what is a case's or a step's by accident must be worth two conditions that
/// are not.
int cost_of(Kind kind) {
  switch (kind) {
    case Kind::accident:
      return 3;
    case Kind::option:
    case Kind::difference:
    case Kind::residue:
      return 2;
    default:
      return 1;
  }
}

/// "q_len > window.left" for a difference "q_len − window.left" that is 1 at least.
std::string compared(std::string_view name, std::string_view sign, int64_t more) {
  constexpr std::string_view minus = " − ";
  const size_t at = name.find(minus);
  std::string words =
      fmt::format("{} {} {}", name.substr(0, at), sign, name.substr(at + minus.size()));
  if (more != 0) words += fmt::format(" {} {}", more > 0 ? "+" : "−", std::abs(more));
  return words;
}

std::string is(Kind kind, std::string_view name, int64_t x) {
  return kind == Kind::difference ? compared(name, "=", x) : fmt::format("{} = {}", name, x);
}
std::string is_not(Kind kind, std::string_view name, int64_t x) {
  return kind == Kind::difference ? compared(name, "≠", x) : fmt::format("{} ≠ {}", name, x);
}
std::string at_least(Kind kind, std::string_view name, int64_t x) {
  if (kind != Kind::difference) return fmt::format("{} ≥ {}", name, x);
  return x == 1 ? compared(name, ">", 0) : compared(name, "≥", x);
}
std::string at_most(Kind kind, std::string_view name, int64_t x) {
  if (kind != Kind::difference) return fmt::format("{} ≤ {}", name, x);
  return x == -1 ? compared(name, "<", 0) : compared(name, "≤", x);
}

}  // namespace

void Where::add(const Attributes& attributes, bool marked) {
  if (names_.empty()) {
    values_.resize(attributes.size());
    for (const Attribute& each : attributes) {
      names_.push_back(each.name);
      kinds_.push_back(each.kind);
    }
  }
  for (size_t a = 0; a < attributes.size(); ++a) values_[a].push_back(attributes[a].value);
  marks_.push_back(marked ? 1 : 0);
  marked_ += marked ? 1 : 0;
}

/// The parts that hold for all marked things and not for all others, those that cost least first.
std::vector<Where::Part> Where::parts() const {
  std::vector<Part> all;
  const auto add_part = [&](std::string words, int cost, const std::vector<int64_t>& values,
                            const std::function<bool(int64_t)>& test) {
    std::vector<uint8_t> holds(size());
    for (size_t n = 0; n < size(); ++n) {
      holds[n] = test(values[n]) ? 1 : 0;
      if (marks_[n] != 0 && holds[n] == 0) return;
    }
    Part part{std::move(words), packed(holds), 0, cost};
    part.count = count_of(part.holds);
    if (part.count < size()) all.push_back(std::move(part));
  };
  for (size_t a = 0; a < names_.size(); ++a) {
    const std::vector<int64_t>& v = values_[a];
    if (std::all_of(v.begin(), v.end(), [&](int64_t x) { return x == v.front(); })) continue;
    std::set<int64_t> in, out;
    for (size_t n = 0; n < size(); ++n) (marks_[n] != 0 ? in : out).insert(v[n]);
    const std::string_view name = names_[a];
    const int64_t low = *in.begin(), high = *in.rbegin();
    const int plain = cost_of(kinds_[a]), exact = kinds_[a] == Kind::limit ? 3 : plain;
    // Two sizes are seldom compared but for which is larger.
    const auto bound = [&](int64_t edge) {
      return kinds_[a] == Kind::difference && std::abs(edge) > 1 ? plain + 2 : plain;
    };
    if (kinds_[a] == Kind::flag || kinds_[a] == Kind::option) {
      if (low == high)
        add_part(low == 1 ? std::string(name) : fmt::format("not {}", name),
                 low == 1 ? plain : plain + 1, v, [=](int64_t x) { return x == low; });
    } else if (low == high) {
      add_part(is(kinds_[a], name, low), exact, v, [=](int64_t x) { return x == low; });
      const bool bounds = kinds_[a] == Kind::limit || kinds_[a] == Kind::difference;
      if (bounds && *out.rbegin() < low)
        add_part(at_least(kinds_[a], name, low), bound(low), v,
                 [=](int64_t x) { return x >= low; });
      if (bounds && *out.begin() > high)
        add_part(at_most(kinds_[a], name, high), bound(high), v,
                 [=](int64_t x) { return x <= high; });
    } else {
      add_part(at_least(kinds_[a], name, low), bound(low), v, [=](int64_t x) { return x >= low; });
      add_part(at_most(kinds_[a], name, high), bound(high), v,
               [=](int64_t x) { return x <= high; });
      for (const int64_t other : out)
        if (in.count(other) == 0 && (out.size() == 1 || other == 0))
          add_part(is_not(kinds_[a], name, other), plain, v, [=](int64_t x) { return x != other; });
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Part& a, const Part& b) { return a.cost < b.cost; });
  return all;
}

namespace {

/// The parts of a condition that hold for as few things as `most`: one, two or three of them that
/// cost least, or as few as can be left of all.
template <class Part>
class Simplest {
 public:
  Simplest(const std::vector<Part>& parts, size_t most) : most_(most) {
    for (const Part& part : parts) try_all({&part}, part.holds);
    for (size_t a = 0; a < parts.size(); ++a)
      for (size_t b = a + 1; b < parts.size() && parts[a].cost + parts[b].cost < cost_; ++b) {
        if (count_of_both(parts[a].holds, parts[b].holds) <= most_)
          try_all({&parts[a], &parts[b]}, both(parts[a].holds, parts[b].holds));
      }
    if (best_.empty()) try_three(parts);
    if (best_.empty()) try_few(parts);
  }
  const std::vector<const Part*>& best() const { return best_; }
  size_t count() const { return count_; }

 private:
  void try_all(const std::vector<const Part*>& of, const Bits& holds) {
    int sum = 0;
    for (const Part* part : of) sum += part->cost;
    const size_t count = count_of(holds);
    if (count > most_ || sum > cost_ || (sum == cost_ && count >= count_)) return;
    cost_ = sum;
    count_ = count;
    best_ = of;
  }

  /// Of many parts those are tried that hold for the fewest things.
  void try_three(const std::vector<Part>& parts) {
    constexpr size_t most_parts = 120;
    std::vector<size_t> counts;
    for (const Part& part : parts) counts.push_back(part.count);
    std::sort(counts.begin(), counts.end());
    const size_t limit = counts.size() > most_parts ? counts[most_parts - 1] : SIZE_MAX;
    std::vector<const Part*> some;
    for (const Part& part : parts)
      if (part.count <= limit && some.size() < 2 * most_parts) some.push_back(&part);
    for (size_t a = 0; a < some.size(); ++a)
      for (size_t b = a + 1; b < some.size(); ++b) {
        const Bits two = both(some[a]->holds, some[b]->holds);
        const int sum = some[a]->cost + some[b]->cost;
        for (size_t d = b + 1; d < some.size() && sum + some[d]->cost < cost_; ++d)
          if (count_of_both(two, some[d]->holds) <= most_)
            try_all({some[a], some[b], some[d]}, both(two, some[d]->holds));
      }
  }

  void try_few(const std::vector<Part>& parts) {
    std::vector<const Part*> left;
    for (const Part& part : parts) left.push_back(&part);
    const auto common = [](const std::vector<const Part*>& of) {
      Bits holds = of.front()->holds;
      for (const Part* part : of) holds = both(holds, part->holds);
      return holds;
    };
    if (left.empty() || count_of(common(left)) > most_) return;
    for (size_t n = left.size(); n-- > 0 && left.size() > 1;) {  // the costliest goes first
      std::vector<const Part*> fewer = left;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(n));
      if (count_of(common(fewer)) <= most_) left = std::move(fewer);
    }
    constexpr size_t most_left = 4;
    if (left.size() <= most_left) try_all(left, common(left));
  }

  size_t most_, count_ = SIZE_MAX;
  int cost_ = INT_MAX;
  std::vector<const Part*> best_;
};

}  // namespace

namespace {
/// How a condition begins that stands behind a noun as it is: "keys in the first tile of 4 keys".
constexpr std::string_view clauses[] = {"in ", "not in ", "that ", "after "};
}  // namespace

Where::Condition Where::condition() const {
  return nearly(SIZE_MAX);
}

std::string Where::words_after(std::string_view what) const {
  return words_after(what, condition());
}

std::string Where::words_after(std::string_view what, const Condition& condition) {
  if (!condition.found || condition.words.empty()) return "";
  constexpr std::string_view with = " with";
  const bool is_clause =
      std::any_of(std::begin(clauses), std::end(clauses),
                  [&](std::string_view begin) { return condition.words.starts_with(begin); });
  if (what.ends_with(with) && is_clause) what.remove_suffix(with.size());
  return fmt::format("{} {}", what, condition.words);
}

Where::Condition Where::nearly(size_t one_in) const {
  if (marked_ == 0) return {};
  if (marked_ == size()) return {true, "", 0, 0};
  const std::vector<Part> all = parts();
  Simplest<Part> simplest(all, marked_);
  if (simplest.best().empty() && one_in < marked_)
    simplest = Simplest<Part>(all, marked_ + marked_ / one_in);
  if (simplest.best().empty()) return {};
  std::vector<std::string> words;
  for (const Part* part : simplest.best()) words.push_back(part->words);
  return {true, fmt::format("{}", fmt::join(words, " and ")), static_cast<int>(words.size()),
          simplest.count() - marked_};
}

}  // namespace attnfuzz::measure
