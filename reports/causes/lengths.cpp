#include <fmt/format.h>

#include <algorithm>

#include "oracle/cache_model.h"
#include "reports/causes/causes.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// One step of one row, as the cache's length sees it.
struct Growth {
  const Case& c;
  const Step& step;
  int64_t before;  ///< tokens that the row held
  int64_t real;    ///< tokens that the step really brings to it
};

/// What a wrong length can have been counted from. `length` gives the length after the step.
struct LengthEntry {
  std::string_view name;
  std::string_view axis;   ///< what the growth equals; empty where it is no size
  std::string_view words;  ///< the likely mistake
  int64_t (*length)(const Growth&);
};

int64_t round_up(int64_t n, int64_t to) {
  return to > 0 ? (n + to - 1) / to * to : n;
}

/// The more telling first.
constexpr LengthEntry kTable[] = {
    {"length-heads", "num_heads", "the offset is taken from the head axis",
     [](const Growth& g) { return g.before + g.c.problem.num_heads; }},
    {"length-kv-heads", "num_kv_heads", "the offset is taken from the key heads' axis",
     [](const Growth& g) { return g.before + g.c.problem.num_kv_heads; }},
    {"length-batch", "batch", "the offset is taken from the batch axis",
     [](const Growth& g) { return g.before + g.c.problem.batch; }},
    {"length-dim", "head_dim", "the offset is taken from the element axis",
     [](const Growth& g) { return g.before + g.c.problem.head_dim; }},
    {"length-padding", "q_len", "the step's padding tokens are counted as real ones",
     [](const Growth& g) { return g.before + g.step.q_len; }},
    {"length-heads", "num_heads·q_len", "the tokens are counted once for each head",
     [](const Growth& g) { return g.before + g.c.problem.num_heads * g.real; }},
    {"length-batch", "batch·q_len", "the tokens are counted once for each batch row",
     [](const Growth& g) { return g.before + g.c.problem.batch * g.real; }},
    {"length-twice", "2·q_len", "the length is advanced twice for one step (once for each layer?)",
     [](const Growth& g) { return g.before + 2 * g.real; }},
    {"length-stale", "", "the length is not advanced, or read before the step's tokens are in",
     [](const Growth& g) { return g.before; }},
    {"length-one", "", "the length is advanced as if every step were a decode of one token",
     [](const Growth& g) { return g.before + 1; }},
    {"length-replaced", "", "the length is that of the step alone, the past is forgotten",
     [](const Growth& g) { return g.real; }},
    {"length-pages", "", "whole pages are counted instead of the tokens in them",
     [](const Growth& g) {
       return g.c.cache ? round_up(g.before + g.real, g.c.cache->page_size) : -1;
     }},
    {"length-capacity", "", "the buffer's capacity is reported instead of what it holds",
     [](const Growth& g) {
       return g.c.cache && g.c.cache->capacity > 0 ? g.c.cache->capacity : -1;
     }},
};

/// What a row's length became in a step with tokens.
struct Reported {
  size_t step;
  int64_t b, before, got, want;  ///< before: as the target itself said
};

/// All of them, in order.
std::vector<Reported> reported_lengths(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  std::vector<Reported> all;
  if (!c.cached()) return all;
  CacheModel model(c);
  std::vector<int64_t> before(static_cast<size_t>(c.problem.batch), 0);
  const std::vector<StepOutput>& steps = finding.last.outcome.steps;
  for (size_t s = 0; s < std::min(steps.size(), c.steps.size()); ++s) {
    model.apply(s);
    const std::vector<int64_t> want = model.lengths();
    const std::vector<int64_t>& got = steps[s].lengths;
    if (got.size() != want.size()) break;
    for (size_t b = 0; b < got.size() && c.steps[s].has_tokens(); ++b)
      all.push_back({s, static_cast<int64_t>(b), before[b], got[b], want[b]});
    before = got;
  }
  return all;
}

Growth growth(const Case& c, const Reported& r) {
  const Step& step = c.steps[r.step];
  const auto b = static_cast<size_t>(r.b);
  return {c, step, r.before, b < step.lens.size() ? step.lens[b] : step.q_len};
}

/// Whether the failures seen while shrinking leave it possible that the length is this axis.
bool possible(const LengthEntry& row, const FailureClass& learned) {
  if (row.axis.empty() || learned.numbers.empty() || learned.numbers[0].names.empty()) return true;
  const auto& names = learned.numbers[0].names;
  return std::find(names.begin(), names.end(), row.axis) != names.end();
}

Cause cause_of(const LengthEntry& row, const Case& c, const Reported& r, bool first) {
  const std::string how = row.axis.empty()
                              ? fmt::format("reports {} instead of {} tokens", r.got, r.want)
                              : fmt::format("grew by {}={} instead of q_len={} tokens", row.axis,
                                            r.got - r.before, growth(c, r).real);
  return {std::string(row.name),
          fmt::format("{} step {} ({}), the cache {}: {}.", first ? "In" : "Or, in", r.step + 1,
                      name(c.steps[r.step].op), how, row.words)};
}

}  // namespace

/// Those that explain every step come first, then those that explain the first wrong one.
std::vector<Cause> causes_from_lengths(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  const std::vector<Reported> all = reported_lengths(finding);
  const auto wrong =
      std::find_if(all.begin(), all.end(), [](const Reported& r) { return r.got != r.want; });
  if (wrong == all.end()) return {};
  const auto explains = [&](const LengthEntry& row, bool every_step) {
    return std::all_of(all.begin(), all.end(), [&](const Reported& r) {
      return (!every_step && r.step != wrong->step) || row.length(growth(c, r)) == r.got;
    });
  };
  std::vector<Cause> causes;
  for (const bool every_step : {true, false}) {
    if (!causes.empty()) break;
    for (const LengthEntry& row : kTable)
      if (explains(row, every_step) && possible(row, finding.learned))
        causes.push_back(cause_of(row, c, *wrong, causes.empty()));
  }
  if (causes.empty())
    causes.push_back(
        {"length", fmt::format("In step {} ({}), row {} reports {} where {} are "
                               "cached.",
                               wrong->step + 1, name(c.steps[wrong->step].op), wrong->b,
                               text::count(wrong->got, "token"), wrong->want)});
  return causes;
}

std::span<const CauseEntry> length_table() {
  static const std::vector<CauseEntry> table = [] {
    std::vector<CauseEntry> rows;
    for (const LengthEntry& row : kTable) rows.push_back({row.name, row.words});
    rows.push_back({"length", "a cache reports another number of tokens than it was given"});
    return rows;
  }();
  return table;
}

}  // namespace attnfuzz
