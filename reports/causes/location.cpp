#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "oracle/cache_model.h"
#include "reports/causes/causes.h"
#include "reports/errors.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// Where along one axis the wrong elements lie.
struct Spread {
  std::string_view axis;
  std::set<int64_t> checked, wrong;
};

bool all_from(const std::set<int64_t>& values, int64_t first) {
  return !values.empty() && *values.begin() >= first;
}

/// "query 3", "queries 4–9", "every 4th query", empty where all are wrong (which says nothing).
std::string describe(const Spread& s) {
  if (s.wrong.empty() || s.wrong == s.checked) return "";
  const int64_t first = *s.wrong.begin(), last = *s.wrong.rbegin();
  const auto n = static_cast<int64_t>(s.wrong.size());
  if (n == 1) return fmt::format("{} {} of {}", s.axis, first, s.checked.size());
  if (last - first + 1 == n) {
    if (last == *s.checked.rbegin()) return fmt::format("{} {} and after", s.axis, first);
    return fmt::format("{} {} to {}", s.axis, first, last);
  }
  const int64_t stride = *std::next(s.wrong.begin()) - first;
  bool regular = stride > 1;
  for (auto at = s.wrong.begin(); regular && std::next(at) != s.wrong.end(); ++at)
    regular = *std::next(at) - *at == stride;
  if (regular && n > 2) return fmt::format("{} {}, then every {}th", s.axis, first, stride);
  std::vector<std::string> some;
  for (const int64_t v : s.wrong) some.push_back(std::to_string(v));
  if (some.size() > 8) return fmt::format("{} of {} along {}", n, s.checked.size(), s.axis);
  return fmt::format("{} {}", s.axis, text::list(some));
}

/// A query row of a case without a cache, and what can make it special.
struct Row {
  const Case& c;
  int64_t b, h, i;
  std::vector<int64_t> keys;  ///< that it sees
};

int64_t real_keys(const Row& row) {
  const RuleUse* padding = row.c.problem.mask.find("padding");
  return padding ? padding->list(1)[static_cast<size_t>(row.b)] : row.c.problem.kv_len;
}

struct RowClass {
  std::string_view name, words;  ///< completes "the wrong rows are exactly those …"
  bool (*holds)(const Row&);
};

/// What the rows see. The more telling first.
constexpr RowClass kKeyClasses[] = {
    {"rows-no-key", "that see no key at all", [](const Row& r) { return r.keys.empty(); }},
    {"rows-one-key", "that see a single key", [](const Row& r) { return r.keys.size() == 1; }},
    {"rows-padded", "of batch rows with padding",
     [](const Row& r) { return real_keys(r) < r.c.problem.kv_len; }},
    {"rows-unpadded", "of batch rows without padding",
     [](const Row& r) { return real_keys(r) == r.c.problem.kv_len; }},
    {"rows-first-key", "that see key 0",
     [](const Row& r) { return !r.keys.empty() && r.keys.front() == 0; }},
    {"rows-not-first-key", "that see some key but not key 0",
     [](const Row& r) { return !r.keys.empty() && r.keys.front() > 0; }},
    {"rows-last-key", "that see the last key",
     [](const Row& r) { return !r.keys.empty() && r.keys.back() == r.c.problem.kv_len - 1; }},
    {"rows-gaps", "that see keys with gaps between them",
     [](const Row& r) {
       return !r.keys.empty() &&
              r.keys.back() - r.keys.front() + 1 != static_cast<int64_t>(r.keys.size());
     }},
};

/// Where the rows stand: said after a tile that fits as well.
constexpr RowClass kPlaceClasses[] = {
    {"rows-past-keys", "whose index is beyond the last key (i ≥ kv_len)",
     [](const Row& r) { return r.i >= r.c.problem.kv_len; }},
    {"rows-first", "of the first query", [](const Row& r) { return r.i == 0; }},
    {"rows-last", "of the last query", [](const Row& r) { return r.i == r.c.problem.q_len - 1; }},
    {"heads-not-first", "of query heads that do not come first in their group",
     [](const Row& r) {
       return r.h % std::max<int64_t>(1, r.c.problem.num_heads / r.c.problem.num_kv_heads) != 0;
     }},
    {"heads-not-first-key-head",
     "of all key heads but the first one of the first batch row: the next one is looked for "
     "elsewhere than it lies",
     [](const Row& r) { return r.b > 0 || r.c.problem.kv_head(r.h) > 0; }},
};

/// A step of one row of a cached case, and what can make it special.
struct StepRow {
  const Case& c;
  size_t s;
  int64_t b, past, total;  ///< positions of the row's next token before and after the step
};

bool comes_after(const StepRow& r, StepOp op) {
  for (size_t s = 0; s < r.s; ++s)
    if (r.c.steps[s].op == op) return true;
  return false;
}

struct StepClass {
  std::string_view name, words;  ///< completes "the wrong rows are exactly those …"
  bool (*holds)(const StepRow&);
};

/// The more telling first. Rows of steps that ask for attention.
constexpr StepClass kStepClasses[] = {
    {"steps-fill", "that a step fills to the cache's capacity, no more",
     [](const StepRow& r) { return r.total == r.c.cache->capacity; }},
    {"steps-overflow", "that have had more tokens than the cache's capacity",
     [](const StepRow& r) { return r.c.cache->capacity > 0 && r.total > r.c.cache->capacity; }},
    {"steps-after-evict", "of steps after an eviction",
     [](const StepRow& r) { return comes_after(r, StepOp::evict); }},
    {"steps-after-fork", "of steps after a fork",
     [](const StepRow& r) { return comes_after(r, StepOp::fork); }},
    {"steps-after-reorder", "of steps after a reorder",
     [](const StepRow& r) { return comes_after(r, StepOp::reorder); }},
    {"steps-after-crop", "of steps after a crop",
     [](const StepRow& r) { return comes_after(r, StepOp::crop); }},
    {"steps-after-reset", "of steps after a reset",
     [](const StepRow& r) { return comes_after(r, StepOp::reset); }},
    {"steps-padded", "with padding in the step",
     [](const StepRow& r) {
       const Step& step = r.c.steps[r.s];
       return step.real_tokens(static_cast<size_t>(r.b)) < step.keys();
     }},
    {"steps-ragged", "that are shorter than another row of the batch",
     [](const StepRow& r) {
       CacheModel model(r.c);
       for (size_t s = 0; s <= r.s; ++s) model.apply(s);
       const std::vector<int64_t> next = model.next_positions();
       return r.total < *std::max_element(next.begin(), next.end());
     }},
    {"steps-past-one", "of steps of one token on tokens that are there",
     [](const StepRow& r) { return r.past > 0 && r.total == r.past + 1; }},
    {"steps-past-many", "of steps of several tokens on tokens that are there",
     [](const StepRow& r) { return r.past > 0 && r.total > r.past + 1; }},
    {"steps-past", "of steps on tokens that are there",
     [](const StepRow& r) { return r.past > 0; }},
    {"steps-first", "of steps on an empty cache", [](const StepRow& r) { return r.past == 0; }},
};

constexpr int64_t kTiles[] = {128, 64, 48, 32, 24, 16, 8, 4};

constexpr CauseEntry kNames[] = {
    {"location", "where the wrong elements lie: batch rows, heads, queries, elements"},
    {"partial-tile", "only the last, partial tile of an axis is wrong"},
    {"tile-start", "the wrong elements begin at a multiple of a tile size"},
    {"many-keys", "only rows that see more keys than some number are wrong"},
};

using RowKey = std::array<int64_t, 3>;

using Rows = std::vector<std::pair<Row, bool>>;

/// Rows (b, h, i) of a case without a cache, and whether any of their elements is wrong.
Rows rows_of(const Case& c, const std::map<RowKey, bool>& wrong) {
  const DenseMask mask = dense_mask(c.problem, c.data);
  Rows rows;
  for (const auto& [key, is_wrong] : wrong)
    rows.push_back(
        {{c, key[0], key[1], key[2], visible_keys(mask, key[0], key[1], key[2])}, is_wrong});
  return rows;
}

std::vector<Cause> row_causes(const Rows& rows, std::span<const RowClass> classes) {
  std::vector<Cause> causes;
  for (const RowClass& each : classes) {
    const bool same = std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
      return each.holds(row.first) == row.second;
    });
    if (same)
      causes.push_back({std::string(each.name),
                        fmt::format("The wrong rows are exactly those {}.", each.words)});
  }
  return causes;
}

std::vector<Cause> many_keys(const Rows& rows) {
  size_t most_right = 0, least_wrong = SIZE_MAX;
  for (const auto& [row, is_wrong] : rows) {
    if (is_wrong) least_wrong = std::min(least_wrong, row.keys.size());
    if (!is_wrong) most_right = std::max(most_right, row.keys.size());
  }
  if (most_right == 0 || most_right >= least_wrong || least_wrong == SIZE_MAX) return {};
  return {{"many-keys", fmt::format("The wrong rows are exactly those that see more than {} keys: "
                                    "a second tile of keys, or a limit on their number.",
                                    most_right)}};
}

/// Rows of the steps of a cached case, by (step, b), and whether any of their elements is wrong.
std::vector<Cause> step_causes(const Case& c,
                               const std::map<std::pair<int64_t, int64_t>, bool>& wrong) {
  std::vector<std::pair<StepRow, bool>> rows;
  CacheModel model(c);
  for (size_t s = 0; s < c.steps.size(); ++s) {
    model.apply(s);
    const std::vector<int64_t> next = model.next_positions();
    for (int64_t b = 0; b < c.problem.batch; ++b) {
      const auto found = wrong.find({static_cast<int64_t>(s), b});
      if (found != wrong.end())
        rows.push_back(
            {{c, s, b, model.past_length(b), next[static_cast<size_t>(b)]}, found->second});
    }
  }
  const auto is_right = [](const auto& row) { return !row.second; };
  if (std::none_of(rows.begin(), rows.end(), is_right)) return {};
  for (const StepClass& each : kStepClasses) {
    const bool same = std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
      return each.holds(row.first) == row.second;
    });
    if (same)
      return {{std::string(each.name),
               fmt::format("The wrong rows are exactly those {}.", each.words)}};
  }
  return {};
}

/// A tile of which only the last, incomplete part is wrong, or from whose start on all is wrong.
std::vector<Cause> tile_causes(const Spread& s) {
  if (s.wrong.empty() || s.wrong == s.checked) return {};
  const int64_t size = *s.checked.rbegin() + 1, first = *s.wrong.begin();
  for (const int64_t tile : kTiles)
    if (size > tile && size % tile != 0 && all_from(s.wrong, size / tile * tile))
      return {{"partial-tile",
               fmt::format("Along {} only the last, partial tile is wrong ({} to {}, if tiles are "
                           "{}): its bound check or padding.",
                           s.axis, size / tile * tile, size - 1, tile)}};
  for (const int64_t tile : kTiles)
    if (first >= tile && first % tile == 0)
      return {{"tile-start", fmt::format("Along {} all is right before {}, a multiple of {}: the "
                                         "first tile is right, a later one is not.",
                                         s.axis, first, tile)}};
  return {};
}

}  // namespace

namespace {

/// What WorstElement's i and d are in an output.
struct AxisNames {
  std::string_view i, d;
};
AxisNames axis_names(Output output) {
  const bool keys = output == Output::dk || output == Output::dv || output == Output::dmem_k ||
                    output == Output::dmem_v;
  return {keys ? "key" : "query", output == Output::dbias ? "key" : "element"};
}

}  // namespace

/// Looks at the case as it was first found, where tiles and rows still show; at the shrunk case
/// where the first output is not at hand.
std::vector<Cause> causes_from_location(const Finding& finding) {
  const bool use_first = !finding.first.outcome.steps.empty();
  const Case& c = use_first ? finding.original : finding.shrunk.c;
  const Examination& examination = use_first ? finding.first : finding.last;
  const std::vector<ElementError> errors = element_errors(c, examination);
  const Output output = examination.verdict.worst.output;
  const AxisNames names = axis_names(output);
  Spread steps{"step", {}, {}}, batch{"batch row", {}, {}}, heads{"head", {}, {}},
      queries{names.i, {}, {}}, elements{names.d, {}, {}};
  std::map<RowKey, bool> rows;
  std::map<std::pair<int64_t, int64_t>, bool> step_rows;
  int64_t wrong = 0;
  for (const ElementError& e : errors) {
    const std::pair<Spread*, int64_t> at[] = {
        {&steps, e.step}, {&batch, e.b}, {&heads, e.h}, {&queries, e.i}, {&elements, e.d}};
    for (const auto& [spread, value] : at) {
      spread->checked.insert(value);
      if (e.wrong()) spread->wrong.insert(value);
    }
    bool& row = rows[{e.b, e.h, e.i}];
    row = row || e.wrong();
    bool& step_row = step_rows[{e.step, e.b}];
    step_row = step_row || e.wrong();
    wrong += e.wrong();
  }
  if (wrong == 0) return {};

  std::vector<Cause> causes;
  const auto add = [&](std::vector<Cause> more) {
    for (Cause& cause : more) causes.push_back(std::move(cause));
  };
  const bool some_rows_right =
      std::any_of(rows.begin(), rows.end(), [](const auto& row) { return !row.second; });
  const bool by_rows = !c.cached() && some_rows_right && names.i == "query";
  const Rows seen = by_rows ? rows_of(c, rows) : Rows();
  if (by_rows) add(row_causes(seen, kKeyClasses));
  const size_t of_keys = causes.size();
  for (const Spread* spread : {&queries, &elements}) add(tile_causes(*spread));
  const size_t of_tiles = causes.size() - of_keys;
  if (by_rows) add(row_causes(seen, kPlaceClasses));
  if (by_rows && causes.size() == of_tiles) add(many_keys(seen));
  if (c.cached()) add(step_causes(c, step_rows));

  std::vector<std::string> parts;
  for (const Spread* spread : {&steps, &batch, &heads, &queries, &elements})
    if (std::string words = describe(*spread); !words.empty()) parts.push_back(std::move(words));
  const auto total = static_cast<int64_t>(errors.size());
  const std::string of =
      output == Output::out ? std::string() : fmt::format(" of {}", attnfuzz::name(output));
  causes.push_back(
      {"location", parts.empty()
                       ? fmt::format("{} of {} elements{} are wrong, in every batch row, head and "
                                     "{}.",
                                     wrong, total, of, names.i)
                       : fmt::format("{} of {} elements{} are wrong: {}.", wrong, total, of,
                                     text::list(parts))});
  return causes;
}

std::span<const CauseEntry> location_table() {
  static const std::vector<CauseEntry> table = [] {
    std::vector<CauseEntry> rows(std::begin(kNames), std::end(kNames));
    for (const RowClass& each : kKeyClasses) rows.push_back({each.name, each.words});
    for (const RowClass& each : kPlaceClasses) rows.push_back({each.name, each.words});
    for (const StepClass& each : kStepClasses) rows.push_back({each.name, each.words});
    return rows;
  }();
  return table;
}

}  // namespace attnfuzz
