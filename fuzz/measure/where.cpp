#include "fuzz/measure/where.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <climits>
#include <set>

namespace attnfuzz::measure {
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

Where::Condition Where::condition() const {
  if (marked_ == 0) return {};
  if (marked_ == size()) return {true, "", 0};
  std::vector<Part> parts;
  const auto add_part = [&](std::string words, int cost, const auto& test,
                            const std::vector<int64_t>& values) {
    Part part{std::move(words), std::vector<uint8_t>(size()), 0, cost};
    for (size_t n = 0; n < size(); ++n) {
      part.holds[n] = test(values[n]) ? 1 : 0;
      if (marks_[n] != 0 && part.holds[n] == 0) return;
      part.count += part.holds[n];
    }
    if (part.count < size()) parts.push_back(std::move(part));
  };
  for (size_t a = 0; a < names_.size(); ++a) {
    const std::vector<int64_t>& v = values_[a];
    std::set<int64_t> in, out;
    for (size_t n = 0; n < size(); ++n) (marks_[n] != 0 ? in : out).insert(v[n]);
    const std::string_view name = names_[a];
    // What is a case's or a step's by accident must be worth two conditions that are not.
    const int plain = kinds_[a] == Attribute::Kind::accident ? 3 : 1;
    const int exact = kinds_[a] == Attribute::Kind::limit ? 3 : plain;
    if (kinds_[a] == Attribute::Kind::flag) {
      const bool yes = *in.begin() == 1;
      if (in.size() == 1)
        add_part(
            yes ? std::string(name) : fmt::format("not {}", name), yes ? plain : plain + 1,
            [&](int64_t x) { return x == static_cast<int64_t>(yes); }, v);
      continue;
    }
    const int64_t low = *in.begin(), high = *in.rbegin();
    if (low == high)
      add_part(
          fmt::format("{} = {}", name, low), exact, [&](int64_t x) { return x == low; }, v);
    else {
      add_part(
          fmt::format("{} ≥ {}", name, low), plain, [&](int64_t x) { return x >= low; }, v);
      add_part(
          fmt::format("{} ≤ {}", name, high), plain, [&](int64_t x) { return x <= high; }, v);
      if (out.size() == 1 && in.count(*out.begin()) == 0)
        add_part(
            fmt::format("{} ≠ {}", name, *out.begin()), 1,
            [&](int64_t x) { return x != *out.begin(); }, v);
    }
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.cost < b.cost; });
  return simplest(parts);
}

/// One part alone, two, or as few as can be left of all: those that cost least.
Where::Condition Where::simplest(const std::vector<Part>& parts) const {
  Condition best;
  int cost = INT_MAX;
  const auto take = [&](const std::vector<const Part*>& of) {
    std::vector<std::string> words;
    int sum = 0;
    for (const Part* part : of) {
      words.push_back(part->words);
      sum += part->cost;
    }
    if (sum >= cost) return;
    cost = sum;
    best = {true, fmt::format("{}", fmt::join(words, " and ")), static_cast<int>(of.size())};
  };
  for (const Part& part : parts)
    if (part.count == marked_) take({&part});
  for (size_t a = 0; a < parts.size(); ++a)
    for (size_t b = a + 1; b < parts.size() && parts[a].cost + parts[b].cost < cost; ++b)
      if (common({&parts[a], &parts[b]}) == marked_) take({&parts[a], &parts[b]});
  if (best.found) return best;
  std::vector<const Part*> left;
  for (const Part& part : parts) left.push_back(&part);
  if (common(left) != marked_) return best;
  for (size_t n = left.size(); n-- > 0;) {  // the costliest goes first
    std::vector<const Part*> fewer = left;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(n));
    if (common(fewer) == marked_) left = std::move(fewer);
  }
  constexpr size_t most = 4;
  if (left.size() <= most) take(left);
  return best;
}

/// How many things all these parts hold for.
size_t Where::common(const std::vector<const Part*>& parts) const {
  size_t count = 0;
  for (size_t n = 0; n < size(); ++n)
    count += std::all_of(parts.begin(), parts.end(),
                         [&](const Part* part) { return part->holds[n] != 0; });
  return count;
}

}  // namespace attnfuzz::measure
