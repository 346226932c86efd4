#include "fuzz/measure/where.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace attnfuzz::measure {
namespace {

/// A part of a condition: which things it holds for, with all that are marked
/// among them.
struct Part {
  std::string words;
  std::vector<uint8_t> holds;
  size_t count = 0;
  int cost = 0;
};

}  // namespace

void Where::add(const Attributes& attributes, bool marked) {
  if (names_.empty()) {
    values_.resize(attributes.size());
    for (const Attribute& each : attributes) {
      names_.push_back(each.name);
      flags_.push_back(each.flag ? 1 : 0);
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
    if (flags_[a] != 0) {
      const bool yes = *in.begin() == 1;
      if (in.size() == 1)
        add_part(
            yes ? std::string(name) : fmt::format("not {}", name), yes ? 1 : 2,
            [&](int64_t x) { return x == static_cast<int64_t>(yes); }, v);
      continue;
    }
    const int64_t low = *in.begin(), high = *in.rbegin();
    if (low == high)
      add_part(
          fmt::format("{} = {}", name, low), 1, [&](int64_t x) { return x == low; }, v);
    else {
      add_part(
          fmt::format("{} ≥ {}", name, low), 1, [&](int64_t x) { return x >= low; }, v);
      add_part(
          fmt::format("{} ≤ {}", name, high), 1, [&](int64_t x) { return x <= high; }, v);
      if (out.size() == 1 && in.count(*out.begin()) == 0)
        add_part(
            fmt::format("{} ≠ {}", name, *out.begin()), 1,
            [&](int64_t x) { return x != *out.begin(); }, v);
    }
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.cost < b.cost; });
  for (const Part& part : parts)
    if (part.count == marked_) return {true, part.words, 1};
  const auto both = [&](const Part& a, const Part& b) {
    Part part{a.words + " and " + b.words, a.holds, 0, 0};
    for (size_t n = 0; n < size(); ++n) part.count += part.holds[n] &= b.holds[n];
    return part;
  };
  for (size_t a = 0; a < parts.size(); ++a)
    for (size_t b = a + 1; b < parts.size(); ++b)
      if (const Part pair = both(parts[a], parts[b]); pair.count == marked_)
        return {true, pair.words, 2};
  return {};
}

}  // namespace attnfuzz::measure
