#include "fuzz/measure/relate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {
namespace {

std::string counted(int64_t number, std::string_view unit) {
  return fmt::format("{} {}{}", number, unit, number == 1 ? "" : "s");
}

}  // namespace

void Relation::add(const Plan& plan, const Query& query, int64_t number, int32_t step) {
  numbers_.push_back(number);
  terms_.push_back(terms_of(plan, query, step));
  std::string place = describe_query(plan, query);
  if (step >= 0) place += fmt::format(", keys of step {}", step);
  places_.push_back(std::move(place));
}

void Relation::add_guess(const Plan& plan, const Query& query, int64_t number, int32_t step) {
  guesses_.emplace_back(number, terms_of(plan, query, step));
}

/// A number that is one more or less than a term needs more to be believed than the term itself.
std::string Relation::known_words(std::string_view unit) const {
  const std::set<int64_t> all(numbers_.begin(), numbers_.end());
  const auto guessed = [&](size_t t) {
    return std::all_of(guesses_.begin(), guesses_.end(),
                       [=](const auto& each) { return each.first == each.second[t].second; });
  };
  // One number alone is what many terms are by chance, but few are right where it is not seen.
  if (all.size() == 1 && !guesses_.empty() && *all.begin() != 0)
    for (size_t t = 0; t < terms_.front().size(); ++t) {
      bool is = guessed(t);
      for (size_t n = 0; n < numbers_.size(); ++n) is &= numbers_[n] == terms_[n][t].second;
      if (is) return fmt::format("{} ({})", terms_.front()[t].first, counted(*all.begin(), unit));
    }
  if (all.size() == 1) return counted(*all.begin(), unit);
  const auto is_term = [&](size_t t, int64_t sign, int64_t more) {
    for (size_t n = 0; n < numbers_.size(); ++n)
      if (numbers_[n] != sign * terms_[n][t].second + more) return false;
    return true;
  };
  for (const bool guess : {true, false})
    for (const int64_t more : {0, 1, -1})
      for (const int64_t sign : {1, -1})
        for (size_t t = 0; t < terms_.front().size(); ++t) {
          if ((more != 0 && all.size() < 3) || (guess && !guessed(t)) || !is_term(t, sign, more))
            continue;
          return fmt::format("{}{}{} ({} to {})", sign < 0 ? "−" : "", terms_.front()[t].first,
                             more > 0   ? " + 1"
                             : more < 0 ? " − 1"
                                        : "",
                             *all.begin(), counted(*all.rbegin(), unit));
        }
  return "";
}

bool Relation::varies() const {
  return std::any_of(numbers_.begin(), numbers_.end(),
                     [this](int64_t n) { return n != numbers_.front(); });
}

std::string Relation::words(std::string_view unit) const {
  if (std::string known = known_words(unit); !known.empty()) return known;
  std::string words;
  constexpr size_t most = 4;
  std::set<int64_t> told;
  for (size_t n = 0; n < numbers_.size() && told.size() < most; ++n)
    if (numbers_[n] != 0 && told.insert(numbers_[n]).second)
      words += fmt::format("{}{} ({})", words.empty() ? "" : ", ", counted(numbers_[n], unit),
                           places_[n]);
  return words;
}

}  // namespace attnfuzz::measure
