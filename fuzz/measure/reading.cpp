#include "fuzz/measure/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace attnfuzz::measure {
namespace {

/// The weights as whole shares of one key's, with as few shares as can be.
void count(Reading& reading, double sink, double error) {
  if (reading.uses.empty()) return;
  double smallest = reading.uses.front().weight, sum = 0;
  for (const Use& use : reading.uses) {
    smallest = std::min(smallest, use.weight);
    sum += use.weight;
  }
  if (smallest <= 0) return;
  constexpr int64_t most = 4;  // keys of which each share is a part
  for (int64_t part = 1; part <= most; ++part) {
    const double share = smallest / static_cast<double>(part);
    const double all = 1 / share - std::exp(sink);
    bool whole = std::abs(all - std::round(all)) <= 0.02 + 2 * error * all;
    for (const Use& use : reading.uses) {
      const double times = use.weight / share;
      whole &= std::abs(times - std::round(times)) <= 0.02 + 2 * error * times;
    }
    if (!whole) continue;
    int64_t used = 0;
    for (Use& use : reading.uses) used += use.times = std::llround(use.weight / share);
    reading.zeros = std::llround(all) - used;
    reading.counted = reading.zeros >= 0;
    if (reading.counted) return;
  }
}

std::optional<Place> held_in(const Plan& plan, const Query& query, int64_t row, size_t source) {
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(row)];
  const Source& s = plan.sources[source];
  const auto found = std::find(held.tokens.begin(), held.tokens.end(), Token{s.step, s.row, s.i});
  if (found == held.tokens.end()) return {};
  const auto at = static_cast<size_t>(found - held.tokens.begin());
  return Place{row == query.b ? Place::Of::own_row : Place::Of::other_row,
               row,
               s.row,
               s.head,
               held.positions[at],
               at};
}

bool is_padding(const Case& c, const Source& s) {
  if (!c.cached()) return false;
  const Step& step = c.steps[static_cast<size_t>(s.step)];
  const auto row = static_cast<size_t>(s.row);
  if (step.lens.empty()) return false;
  const int64_t first = step.first_real(row);
  return s.i < first || s.i >= first + step.real_tokens(row);
}

using Group = std::tuple<Place::Of, int64_t, int64_t, int64_t>;  ///< of, row, head, times

std::string group_words(const Plan& plan, const Query& query, const Group& group,
                        const std::vector<int64_t>& positions) {
  const auto& [of, row, head, times] = group;
  std::string words = ranges(positions);
  switch (of) {
    case Place::Of::own_row:
      words = "its own " + words;
      break;
    case Place::Of::other_row:
      words = fmt::format("{} of row {}", words, row);
      break;
    case Place::Of::gone:
      words = fmt::format("{} of row {}, which no row holds any more", words, row);
      break;
    case Place::Of::later:
      words = fmt::format("{} of row {}, which come in a later step", words, row);
      break;
    case Place::Of::padding:
      words = fmt::format("{} of the padding of row {}'s steps", words, row);
      break;
    case Place::Of::memory:
      words = fmt::format("memory KV {}", words);
      break;
  }
  if (head != plan.c.problem.kv_head(query.h)) words += fmt::format(" of KV head {}", head);
  if (times > 1) words += times == 2 ? " twice" : fmt::format(" {} times", times);
  return words;
}

std::string join(const std::vector<std::string>& parts) {
  std::string all;
  for (size_t n = 0; n < parts.size(); ++n)
    all += (n == 0 ? "" : n + 1 < parts.size() ? ", " : " and ") + parts[n];
  return all;
}

}  // namespace

Place place_of(const Plan& plan, const Query& query, size_t source) {
  const Source& s = plan.sources[source];
  if (s.step < 0) return {Place::Of::memory, 0, 0, s.head, s.i, 0};
  if (is_padding(plan.c, s)) return {Place::Of::padding, s.row, s.row, s.head, s.i, 0};
  if (const auto own = held_in(plan, query, query.b, source)) return *own;
  for (int64_t b = 0; b < plan.c.problem.batch; ++b)
    if (const auto other = held_in(plan, query, b, source)) return *other;
  return {s.step > query.step ? Place::Of::later : Place::Of::gone, s.row, s.row, s.head,
          plan.born[source] < 0 ? s.i : plan.born[source],          0};
}

Reading read(const Plan& plan, size_t query, std::span<const double> weights, double sink,
             double error) {
  Reading reading;
  reading.query = query;
  double largest = 0;
  for (const double w : weights) largest = std::max(largest, std::abs(w));
  const double floor = std::max(1e-6, error * largest);
  for (size_t n = 0; n < weights.size(); ++n)
    if (std::abs(weights[n]) > floor) reading.uses.push_back({n, weights[n]});
  const std::vector<Key>& keys = plan.queries[query].keys;
  if (std::all_of(keys.begin(), keys.end(), [](const Key& key) { return key.bias == 0; }))
    count(reading, sink, error);
  return reading;
}

std::string ranges(std::vector<int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::string all;
  for (size_t n = 0; n < numbers.size();) {
    size_t end = n + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    all += n == 0 ? "" : ", ";
    all += end == n + 1
               ? fmt::format("{}", numbers[n])
               : fmt::format("{}{}{}", numbers[n], end == n + 2 ? ", " : "–", numbers[end - 1]);
    n = end;
  }
  return all;
}

std::string describe(const Plan& plan, const Reading& reading) {
  const Query& query = plan.queries[reading.query];
  std::map<Group, std::vector<int64_t>> groups;
  for (const Use& use : reading.uses) {
    const Place place = place_of(plan, query, use.source);
    groups[{place.of, place.row, place.head, reading.counted ? use.times : 1}].push_back(
        place.position);
  }
  std::vector<std::string> parts;
  for (const auto& [group, positions] : groups)
    parts.push_back(group_words(plan, query, group, positions));
  if (reading.counted && reading.zeros > 0)
    parts.push_back(
        fmt::format("{} that hold{} zeros", reading.zeros, reading.zeros == 1 ? "s" : ""));
  if (parts.empty()) return "no token";
  return "tokens " + join(parts);
}

std::string describe_declared(const Plan& plan, const Query& query) {
  std::vector<int64_t> positions;
  size_t memory = 0;
  for (const Key& key : query.keys) {
    memory += key.position < 0 ? 1 : 0;
    if (key.position >= 0) positions.push_back(key.position);
  }
  if (positions.empty() && memory == 0) return "none";
  std::string words = positions.empty() ? "" : "its own " + ranges(positions);
  if (memory > 0) words += fmt::format("{}the {} memory KV", words.empty() ? "" : " and ", memory);
  static_cast<void>(plan);
  return words;
}

std::string describe_query(const Plan& plan, const Query& query) {
  const Problem& p = plan.c.problem;
  std::string words = p.batch > 1 ? fmt::format("row {}, ", query.b) : "";
  words += fmt::format("query {}", query.i);
  if (plan.c.cached()) words += fmt::format(" of step {}", query.step);
  if (p.num_heads > 1) words += fmt::format(" (query head {})", query.h);
  return words;
}

}  // namespace attnfuzz::measure
