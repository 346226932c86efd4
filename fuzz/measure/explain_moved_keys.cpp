#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fuzz/measure/scores.h"
#include "fuzz/measure/terms.h"

namespace attnfuzz::measure {
namespace {

/// The place of the key that weighs the value of key j, by a number.
struct Law {
  const char* words;  ///< {} is the number's name
  int64_t (*of)(int64_t j, int64_t position, int64_t n);
};
constexpr Law laws[] = {
    {"that {} places before", [](int64_t j, int64_t, int64_t n) { return j - n; }},
    {"that {} places behind", [](int64_t j, int64_t, int64_t n) { return j + n; }},
    {"key j mod ({})", [](int64_t j, int64_t, int64_t n) { return j % n; }},
    {"that at the same place of the query's own part, where parts have {} tokens",
     [](int64_t j, int64_t position, int64_t n) { return position / n * n + j % n; }},
    {"the first key of its tile of {}", [](int64_t j, int64_t, int64_t n) { return j / n * n; }},
    {"key j / ({})", [](int64_t j, int64_t, int64_t n) { return j / n; }},
    {"key ({}) − 1 − j", [](int64_t j, int64_t, int64_t n) { return n - 1 - j; }},
};

/// Numbers that code may have at hand, in the same order for every query.
Terms numbers_of(const Row& row) {
  const int64_t kv_len = row.problem().kv_len;
  Terms all{{"kv_len", kv_len},
            {"kv_len / 2", kv_len / 2},
            {"kv_len / 4", kv_len / 4},
            {"1", 1},
            {"2", 2},
            {"4", 4},
            {"8", 8},
            {"16", 16},
            {"32", 32},
            {"64", 64}};
  for (const auto& term : terms_of(*row.of->plan, row.at(), row.at().step)) all.push_back(term);
  return all;
}

/// A row's scores with the keys of a law, and whether these are others than the row's own.
struct Moved {
  std::vector<double> scores;
  bool differs = false;
};
std::optional<Moved> moved(const Row& row, const Law& law, int64_t n) {
  if (n <= 0) return {};
  const Plan& plan = *row.of->plan;
  const Query& query = row.at();
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  Moved all;
  for (const size_t at : row.keys) {
    const Key& key = query.keys[at];
    if (key.position < 0) return {};
    const int64_t place = law.of(static_cast<int64_t>(key.place), query.position, n);
    if (place < 0 || place >= static_cast<int64_t>(held.tokens.size())) return {};
    const auto to = static_cast<size_t>(place);
    all.differs |= to != key.place;
    all.scores.push_back(row.of->vectors->score(
        row.problem(), row.query, query.position,
        plan.source(held.tokens[to], row.problem().kv_head(query.h)), held.positions[to]));
  }
  return all;
}

}  // namespace

/// Values are weighed by the keys of other tokens of their row, as one law says of all of them.
std::optional<std::string> explain_moved_keys(const std::vector<Row>& wrong,
                                              const std::vector<Row>& right) {
  std::vector<Terms> of_wrong, of_right;
  for (const Row& row : wrong) of_wrong.push_back(numbers_of(row));
  for (const Row& row : right) of_right.push_back(numbers_of(row));
  for (const Law& law : laws)
    for (size_t n = 0; n < of_wrong.front().size(); ++n) {
      size_t telling = 0;
      const auto fits = [&](const Row& row, const Terms& numbers) {
        const std::optional<Moved> other = moved(row, law, numbers[n].second);
        constexpr size_t enough = 4;  // keys: of fewer much is right by chance
        const bool fit = other && row.fits(other->scores);
        telling += fit && other->differs && row.keys.size() >= enough ? 1 : 0;
        return fit;
      };
      bool all = true;
      for (size_t r = 0; r < wrong.size() && all; ++r) all = fits(wrong[r], of_wrong[r]);
      const size_t told = telling;
      for (size_t r = 0; r < right.size() && all; ++r) all = fits(right[r], of_right[r]);
      constexpr size_t least = 2;
      if (all && told >= least)
        return fmt::format("The value of key j is weighed by another key: {}.",
                           fmt::format(fmt::runtime(law.words), of_wrong.front()[n].first));
    }
  return {};
}

}  // namespace attnfuzz::measure
