#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "fuzz/elements.h"
#include "oracle/lower/cache_history.h"
#include "reports/causes/causes.h"
#include "reports/causes/row_classes.h"
#include "reports/errors.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// Where along one axis the wrong elements lie.
struct Spread {
  std::string_view axis;
  std::set<int64_t> checked, wrong;
};

/// "query 3", "queries 4–9", "every 4th query", empty where all are wrong (which says nothing).
std::string describe(const Spread& s) {
  if (s.wrong.empty() || s.wrong == s.checked) return "";
  const int64_t first = *s.wrong.begin(), last = *s.wrong.rbegin();
  const auto n = static_cast<int64_t>(s.wrong.size());
  if (n == 1)
    return fmt::format("{} {} ({} to {} were checked)", s.axis, first, *s.checked.begin(),
                       *s.checked.rbegin());
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

constexpr int64_t kTiles[] = {128, 64, 48, 32, 24, 16, 8, 4};

constexpr CauseEntry kNames[] = {
    {"location", "where the wrong elements lie: batch rows, heads, queries, elements"},
    {"partial-tile", "only the last, partial tile of an axis is wrong"},
    {"tile-start", "the wrong elements begin at a multiple of a tile size"},
    {"many-keys", "only rows that see more keys than some number are wrong"},
};

using RowKey = std::array<int64_t, 3>;
using StepKey = std::pair<int64_t, int64_t>;  ///< step and batch row

/// Where the wrong elements of one output lie.
struct Where {
  Output output = Output::out;
  Spread steps{"step", {}, {}}, batch, heads, tokens, elements;  ///< no name: not an axis of it
  JudgedRows<Row> rows;           ///< of a case without a cache, where queries are the rows
  JudgedRows<StepRow> step_rows;  ///< of a case with one
  int64_t wrong = 0, total = 0;
};

JudgedRows<Row> rows_of(const Case& c, const std::map<RowKey, bool>& wrong) {
  const DenseMask mask = dense_mask(c.problem, c.data);
  JudgedRows<Row> rows;
  for (const auto& [key, is_wrong] : wrong)
    rows.push_back(
        {{c, key[0], key[1], key[2], visible_keys(mask, key[0], key[1], key[2])}, is_wrong});
  return rows;
}

JudgedRows<StepRow> step_rows_of(const Case& c, const std::map<StepKey, bool>& wrong) {
  JudgedRows<StepRow> rows;
  CacheHistory model(c);
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
  return rows;
}

Where look(const Case& c, const Examination& examination) {
  Where at;
  at.output = examination.verdict.worst.output;
  at.batch.axis = coordinate_name(at.output, &WorstElement::b);
  at.heads.axis = coordinate_name(at.output, &WorstElement::h);
  at.tokens.axis = coordinate_name(at.output, &WorstElement::i);
  at.elements.axis = coordinate_name(at.output, &WorstElement::d);
  std::map<RowKey, bool> rows;
  std::map<StepKey, bool> step_rows;
  const std::vector<ElementError> elements = element_errors(c, examination);
  std::set<int64_t> wrong_steps;
  for (const ElementError& e : elements)
    if (e.wrong()) wrong_steps.insert(e.step);
  for (const ElementError& e : elements) {
    const std::pair<Spread*, int64_t> place[] = {{&at.steps, e.step},
                                                 {&at.batch, e.b},
                                                 {&at.heads, e.h},
                                                 {&at.tokens, e.i},
                                                 {&at.elements, e.d}};
    for (const auto& [spread, value] : place) {
      // A step that is right says nothing of where in another one the error lies.
      if (spread != &at.steps && wrong_steps.count(e.step) == 0) continue;
      spread->checked.insert(value);
      if (e.wrong()) spread->wrong.insert(value);
    }
    bool& row = rows[{e.b, e.h, e.i}];
    row = row || e.wrong();
    bool& step_row = step_rows[{e.step, e.b}];
    step_row = step_row || e.wrong();
    at.wrong += e.wrong();
    ++at.total;
  }
  if (c.cached())
    at.step_rows = step_rows_of(c, step_rows);
  else if (at.tokens.axis == "query")
    at.rows = rows_of(c, rows);
  return at;
}

template <class Of>
bool some_right(const JudgedRows<Of>& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const auto& row) { return !row.second; });
}

/// The last, incomplete tile is wrong, all of it and nothing else.
bool is_partial_tile(const Spread& s, int64_t tile) {
  const int64_t size = *s.checked.rbegin() + 1, start = size / tile * tile;
  return *s.wrong.begin() == start && static_cast<int64_t>(s.wrong.size()) == size - start;
}

/// What is told of the case as it was first found, and of the shrunk one where both are at hand.
class Teller {
 public:
  explicit Teller(const Finding& finding) {
    const bool use_first = !finding.first.outcome.steps.empty();
    const bool two = use_first && finding.original != finding.shrunk.c;
    seen_ =
        use_first ? look(finding.original, finding.first) : look(finding.shrunk.c, finding.last);
    if (!two) return;
    shrunk_ = look(finding.shrunk.c, finding.last);
    if (shrunk_.output != seen_.output || shrunk_.wrong == 0) shrunk_ = {};
    of_first_ = fmt::format("In the case as first found ({}), ", one_line(finding.original));
  }

  std::vector<Cause> causes() {
    if (seen_.wrong == 0) return {};
    const bool by_rows = some_right(seen_.rows);
    if (by_rows) add_classes(key_classes, seen_.rows, shrunk_.rows, false);
    const size_t of_keys = causes_.size();
    add_tile(seen_.tokens, shrunk_.tokens);
    add_tile(seen_.elements, shrunk_.elements);
    const size_t of_tiles = causes_.size() - of_keys;
    if (by_rows) add_classes(place_classes, seen_.rows, shrunk_.rows, false);
    if (by_rows && causes_.size() == of_tiles) add_many_keys();
    if (some_right(seen_.step_rows))
      add_classes(step_classes, seen_.step_rows, shrunk_.step_rows, true);
    add_location();
    return std::move(causes_);
  }

 private:
  /// A sentence that was not held against the shrunk case, or that has the first one's numbers.
  void add_of_first(std::string_view name, std::string words) {
    if (!of_first_.empty()) {
      words[0] =
          words[0] >= 'A' && words[0] <= 'Z' ? static_cast<char>(words[0] - 'A' + 'a') : words[0];
      words = of_first_ + words;
    }
    causes_.push_back({std::string(name), std::move(words)});
  }

  /// The classes that the wrong rows are of, in the shrunk case too.
  template <class Of>
  void add_classes(std::span<const RowClass<Of>> classes, const JudgedRows<Of>& seen,
                   const JudgedRows<Of>& shrunk, bool one) {
    for (const RowClass<Of>& each : classes) {
      if (!exactly(each, seen) || !exactly(each, shrunk)) continue;
      std::string words = fmt::format("The wrong rows are exactly those {}.", each.words);
      if (shrunk.empty())
        add_of_first(each.name, std::move(words));
      else
        causes_.push_back({std::string(each.name), std::move(words)});
      if (one) return;
    }
  }

  void add_many_keys() {
    size_t most_right = 0, least_wrong = SIZE_MAX;
    for (const auto* rows : {&seen_.rows, &shrunk_.rows})
      for (const auto& [row, is_wrong] : *rows) {
        if (is_wrong) least_wrong = std::min(least_wrong, row.keys.size());
        if (!is_wrong) most_right = std::max(most_right, row.keys.size());
      }
    if (most_right == 0 || most_right >= least_wrong) return;
    causes_.push_back(
        {"many-keys", fmt::format("The wrong rows are exactly those that see more than {} keys: a "
                                  "second tile of keys, or a limit on their number.",
                                  most_right)});
  }

  /// A tile of which only the last, incomplete part is wrong, or from whose start on all is wrong.
  void add_tile(const Spread& s, const Spread& shrunk) {
    if (s.wrong.empty() || s.wrong == s.checked) return;
    const int64_t size = *s.checked.rbegin() + 1, first = *s.wrong.begin();
    for (const int64_t tile : kTiles)
      if (size > tile && is_partial_tile(s, tile) &&
          (shrunk.wrong.empty() || is_partial_tile(shrunk, tile)))
        return add_of_first("partial-tile",
                            fmt::format("Along {} only the last, partial tile is wrong ({} to {}, "
                                        "if tiles are {}): its bound check or padding.",
                                        s.axis, first, size - 1, tile));
    for (const int64_t tile : kTiles)
      if (first >= tile && first % tile == 0 &&
          (shrunk.wrong.empty() || *shrunk.wrong.begin() >= tile))
        return add_of_first("tile-start",
                            fmt::format("Along {} all is right before {}, a multiple of {}: the "
                                        "first tile is right, a later one is not.",
                                        s.axis, first, tile));
  }

  void add_location() {
    std::vector<std::string> parts, axes;
    for (const Spread* spread : {&seen_.batch, &seen_.heads, &seen_.tokens})
      if (!spread->axis.empty()) axes.emplace_back(spread->axis);
    for (const Spread* spread :
         {&seen_.steps, &seen_.batch, &seen_.heads, &seen_.tokens, &seen_.elements})
      if (std::string words = describe(*spread); !words.empty()) parts.push_back(std::move(words));
    const std::string of = seen_.output == Output::out
                               ? std::string()
                               : fmt::format(" of {}", attnfuzz::name(seen_.output));
    add_of_first(
        "location",
        fmt::format("{} of {} elements{} are wrong{}.", seen_.wrong, seen_.total, of,
                    parts.empty() ? ", in every " + text::list(axes) : ": " + text::list(parts)));
  }

  Where seen_, shrunk_;  ///< the shrunk one: nothing where it can't be held against the first
  std::string of_first_;
  std::vector<Cause> causes_;
};

}  // namespace

/// Looks at the case as it was first found, where tiles and rows still show; what the shrunk one
/// refutes is not said.
std::vector<Cause> causes_from_location(const Finding& finding) {
  return Teller(finding).causes();
}

std::span<const CauseEntry> location_table() {
  static const std::vector<CauseEntry> table = [] {
    std::vector<CauseEntry> rows(std::begin(kNames), std::end(kNames));
    for (const auto& classes : {key_classes, place_classes})
      for (const RowClass<Row>& each : classes) rows.push_back({each.name, each.words});
    for (const RowClass<StepRow>& each : step_classes) rows.push_back({each.name, each.words});
    return rows;
  }();
  return table;
}

}  // namespace attnfuzz
