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

struct WrongLength {
  size_t step;
  int64_t b, before, got, want;
};

/// The rows that are wrong at the first step where any is.
std::vector<WrongLength> wrong_lengths(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  std::vector<WrongLength> wrong;
  if (!c.cached()) return wrong;
  CacheModel model(c);
  std::vector<int64_t> before(static_cast<size_t>(c.problem.batch), 0);
  const std::vector<StepOutput>& steps = finding.last.outcome.steps;
  for (size_t s = 0; s < std::min(steps.size(), c.steps.size()) && wrong.empty(); ++s) {
    model.apply(s);
    const std::vector<int64_t> want = model.lengths();
    const std::vector<int64_t>& got = steps[s].lengths;
    for (size_t b = 0; b < std::min(got.size(), want.size()); ++b)
      if (got[b] != want[b])
        wrong.push_back({s, static_cast<int64_t>(b), before[b], got[b], want[b]});
    before = want;
  }
  return wrong;
}

Growth growth(const Case& c, const WrongLength& w) {
  const Step& step = c.steps[w.step];
  const auto b = static_cast<size_t>(w.b);
  const int64_t real = b < step.lens.size() ? step.lens[b] : step.q_len;
  return {c, step, w.before, real};
}

}  // namespace

std::vector<Cause> causes_from_lengths(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  const std::vector<WrongLength> wrong = wrong_lengths(finding);
  const auto step_words = [&](const WrongLength& each) {
    return fmt::format("step {} ({})", each.step + 1, name(c.steps[each.step].op));
  };
  std::vector<Cause> causes;
  if (wrong.empty()) return causes;
  const WrongLength& w = wrong.front();
  const Growth g = growth(c, w);
  for (const LengthEntry& row : kTable) {
    const bool fits = c.steps[w.step].has_tokens() &&
                      std::all_of(wrong.begin(), wrong.end(), [&](const WrongLength& each) {
                        return row.length(growth(c, each)) == each.got;
                      });
    if (!fits) continue;
    const std::string how = row.axis.empty()
                                ? fmt::format("reports {} instead of {} tokens", w.got, w.want)
                                : fmt::format("grew by {}={} instead of q_len={} tokens", row.axis,
                                              w.got - w.before, g.real);
    causes.push_back({std::string(row.name),
                      fmt::format("{} {}, the cache {}: {}.", causes.empty() ? "In" : "Or, in",
                                  step_words(w), how, row.words)});
  }
  if (causes.empty())
    causes.push_back(
        {"length", fmt::format("In {}, row {} reports {} where {} are cached.", step_words(w), w.b,
                               text::count(w.got, "token"), w.want)});
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
