#include "fuzz/measure/remap.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace attnfuzz::measure {

struct Remap::Row {
  const char* words;
  int64_t (*of)(const Seen&, int64_t row);
};
struct Remap::Head {
  const char* words;
  int64_t (*of)(const Seen&, int64_t head);
};
/// A place as a function of the right one and a number.
struct Remap::How {
  const char* words;  ///< {} is the number's name
  bool has_number;
  bool is_shift;  ///< by a number that may be negative too
  int64_t (*of)(int64_t place, int64_t number);
};

namespace {

/// Numbers that are no sizes: what a shift or a tile may be.
constexpr int64_t constants[] = {1, 2, 3, 4, 8, 16, 32, 64, 128, 256};

bool has_place(const Place& place) {
  return place.of == Place::Of::own_row || place.of == Place::Of::other_row;
}

}  // namespace

void Remap::add(const Plan& plan, const Query& query, std::span<const Place> lacks,
                std::span<const Place> takes) {
  if (lacks.empty() && takes.empty()) return;
  const Problem& p = plan.c.problem;
  const std::vector<Held>& held = plan.held[static_cast<size_t>(query.step)];
  Seen seen{query.h, p.num_kv_heads, p.batch, {}, {}, {}, {}, {}};
  const bool is_known = !seen_.empty() && *seen_.back().problem == p;
  seen.problem = is_known ? seen_.back().problem : std::make_shared<const Problem>(p);
  has_addresses_ &= !plan.c.cached() && p.memory_kv == 0 &&
                    (seen_.empty() || seen_.front().problem->layout == p.layout);
  for (const Held& each : held) seen.lengths.push_back(static_cast<int64_t>(each.tokens.size()));
  const auto at = [](const Place& place) {
    return At{place.row, place.head, static_cast<int64_t>(place.place)};
  };
  for (const Place& place : takes) {
    is_known_ &= has_place(place);
    seen.takes.insert(at(place));
  }
  taken_ += takes.size();
  std::map<int32_t, Terms> terms;  // by the key's step
  for (const Place& place : lacks) {
    if (!has_place(place)) {
      is_known_ = false;
      continue;
    }
    const Token& token = held[static_cast<size_t>(place.row)].tokens[place.place];
    const bool is_first = names_.empty();
    Lack lack{at(place), {}};
    for (const int64_t number : constants) {
      lack.numbers.push_back(number);
      if (is_first) names_.push_back(fmt::format("{}", number));
    }
    const int64_t page = plan.c.cached() ? plan.c.cache->page_size : 0;
    lack.numbers.push_back(page);
    if (is_first) names_.emplace_back("page_size");
    const int32_t step = plan.c.cached() ? token.step : -1;
    if (terms.count(step) == 0) terms[step] = terms_of(plan, query, step);
    for (const auto& [name, number] : terms[step]) {
      lack.numbers.push_back(number);
      if (is_first) names_.emplace_back(name);
    }
    seen.lacks.push_back(std::move(lack));
  }
  std::set<At> lacking;
  for (const Lack& lack : seen.lacks) lacking.insert(lack.at);
  for (const Key& key : query.keys)
    if (const At right{query.b, p.kv_head(query.h), static_cast<int64_t>(key.place)};
        lacking.count(right) == 0)
      seen.kept.push_back(right);
  seen_.push_back(std::move(seen));
}

/// Whether what each query takes wrongly is what the rule gives for what it lacks. Where that is no
/// token that a row holds, nothing is taken.
bool Remap::fits(const Row& row, const Head& head, const How& how, size_t number) const {
  for (const Seen& seen : seen_) {
    std::multiset<At> left = seen.takes;
    for (const Lack& lack : seen.lacks) {
      const auto [b, g, j] = lack.at;
      const int64_t by = how.has_number ? lack.numbers[number] : 0;
      if (how.has_number && (how.is_shift ? by == 0 : by <= 0)) return false;
      const int64_t other = row.of(seen, b);
      const At to{other, head.of(seen, g), how.of(j, by)};
      if (to == lack.at) return false;
      const bool is_held = other >= 0 && other < seen.batch && std::get<2>(to) >= 0 &&
                           std::get<2>(to) < seen.lengths[static_cast<size_t>(other)];
      if (!is_held) continue;
      const auto found = left.find(to);
      if (found == left.end()) return false;
      left.erase(found);
    }
    if (!left.empty()) return false;
  }
  return true;
}

/// Whether every query takes exactly what lies at the address of each of its keys. What lies behind
/// the tensor's end may be anything.
bool Remap::fits(const RowAddress& address) const {
  return std::all_of(seen_.begin(), seen_.end(), [&](const Seen& seen) {
    std::multiset<At> left(seen.takes);
    left.insert(seen.kept.begin(), seen.kept.end());
    const auto takes = [&](const At& right) {
      const auto [b, g, j] = right;
      const Index to = address.of(*seen.problem, RowsOf::keys, {b, g, j});
      if (to[0] < 0) return true;
      const auto found = left.find(At{to[0], to[1], to[2]});
      if (found == left.end()) return false;
      left.erase(found);
      return true;
    };
    return std::all_of(seen.kept.begin(), seen.kept.end(), takes) &&
           std::all_of(seen.lacks.begin(), seen.lacks.end(),
                       [&](const Lack& lack) { return takes(lack.at); }) &&
           left.empty();
  });
}

std::string Remap::address_words() const {
  if (!has_addresses_) return "";
  const std::string words =
      RowAddress::find(seen_.front().problem->layout, RowsOf::keys,
                       [this](const RowAddress& address) { return fits(address); });
  return words.empty() ? ""
                       : fmt::format(
                             "that of the row of v at {} (for batch row b, KV head h and "
                             "key i)",
                             words);
}

std::string Remap::words() const {
  constexpr size_t enough = 3;  // of what is taken: a rule for one or two is found by chance
  if (!is_known_ || taken_ < enough) return "";
  static constexpr Row rows[] = {
      {"", [](const Seen&, int64_t b) { return b; }},
      {" of row 0", [](const Seen&, int64_t) { return int64_t{0}; }},
      {" of the row before", [](const Seen&, int64_t b) { return b - 1; }},
      {" of the row behind", [](const Seen&, int64_t b) { return b + 1; }},
      {" of the last row", [](const Seen& s, int64_t) { return s.batch - 1; }},
  };
  static constexpr Head heads[] = {
      {"", [](const Seen&, int64_t g) { return g; }},
      {" of KV head 0", [](const Seen&, int64_t) { return int64_t{0}; }},
      {" of KV head h mod num_kv_heads, for a query head h",
       [](const Seen& s, int64_t) { return s.head % s.kv_heads; }},
      {" of the KV head before", [](const Seen&, int64_t g) { return g - 1; }},
      {" of the KV head behind", [](const Seen&, int64_t g) { return g + 1; }},
  };
  static constexpr How hows[] = {
      {"key j", false, false, [](int64_t j, int64_t) { return j; }},
      {"key 0", false, false, [](int64_t, int64_t) { return int64_t{0}; }},
      {"key j − {}", true, true, [](int64_t j, int64_t n) { return j - n; }},
      {"key j + {}", true, true, [](int64_t j, int64_t n) { return j + n; }},
      {"key j mod ({})", true, false, [](int64_t j, int64_t n) { return j % n; }},
      {"the first key of its tile of {}", true, false,
       [](int64_t j, int64_t n) { return j - j % n; }},
      {"the last key of its tile of {}", true, false,
       [](int64_t j, int64_t n) { return j - j % n + n - 1; }},
      {"key ({}) − 1 − j", true, false, [](int64_t j, int64_t n) { return n - 1 - j; }},
      {"key {}", true, false, [](int64_t, int64_t n) { return n; }},
      {"key ({}) − 1", true, false, [](int64_t, int64_t n) { return n - 1; }},
      {"key j · {}", true, false, [](int64_t j, int64_t n) { return j * n; }},
      {"key j / {}", true, false, [](int64_t j, int64_t n) { return j / n; }},
  };
  for (const How& how : hows)
    for (size_t n = 0; n < (how.has_number ? names_.size() : 1); ++n)
      for (const Row& row : rows)
        for (const Head& head : heads)
          if (fits(row, head, how, n))
            return "that of " +
                   fmt::format(fmt::runtime(how.words), names_.empty() ? "" : names_[n]) +
                   row.words + head.words;
  return address_words();
}

}  // namespace attnfuzz::measure
