#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "oracle/lower/cache_history.h"
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
  int64_t total;   ///< tokens that it has ever had, after the step
};

/// What a wrong length can have been counted from. `length` gives the length after the step, which
/// brings tokens.
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
    {"length-kv-heads", "num_kv_heads", "the offset is taken from the KV heads' axis",
     [](const Growth& g) { return g.before + g.c.problem.num_kv_heads; }},
    {"length-batch", "batch", "the offset is taken from the batch axis",
     [](const Growth& g) { return g.before + g.c.problem.batch; }},
    {"length-dim", "head_dim", "the offset is taken from the element axis",
     [](const Growth& g) { return g.before + g.c.problem.head_dim; }},
    {"length-padding", "q_len", "the step's padding tokens are counted as real ones",
     [](const Growth& g) { return g.before + g.step.keys(); }},
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
    {"length-dropped", "", "once the window is full, the tokens that it dropped are reported",
     [](const Growth& g) {
       const int64_t dropped = g.c.cache ? g.total - g.c.cache->capacity : 0;
       return dropped > 0 ? dropped : g.before + g.real;
     }},
    {"length-capacity", "", "the buffer's capacity is reported instead of what it holds",
     [](const Growth& g) {
       return g.c.cache && g.c.cache->capacity > 0 ? g.c.cache->capacity : -1;
     }},
};

/// A case and what the target did with it.
struct Run {
  const Case& c;
  const std::vector<StepOutput>& steps;
};

/// What a row's length became in a step with tokens.
struct Reported {
  size_t step;
  int64_t b, before, got, want;  ///< before: as the target itself said
  int64_t total;                 ///< where the row's next token stands
};

/// All of them, in order.
std::vector<Reported> reported_lengths(const Run& run) {
  std::vector<Reported> all;
  if (!run.c.cached()) return all;
  CacheHistory model(run.c);
  std::vector<int64_t> before(static_cast<size_t>(run.c.problem.batch), 0);
  for (size_t s = 0; s < std::min(run.steps.size(), run.c.steps.size()); ++s) {
    model.apply(s);
    const std::vector<int64_t> want = model.lengths(), totals = model.next_positions();
    const std::vector<int64_t>& got = run.steps[s].lengths;
    if (got.size() != want.size()) break;
    for (size_t b = 0; b < got.size() && run.c.steps[s].has_tokens(); ++b)
      all.push_back({s, static_cast<int64_t>(b), before[b], got[b], want[b], totals[b]});
    before = got;
  }
  return all;
}

Growth growth(const Case& c, size_t step, int64_t b, int64_t before, int64_t total) {
  constexpr int64_t far = int64_t{1} << 40;  // no cache holds as many: sums must not overflow
  const Step& s = c.steps[step];
  return {c, s, std::clamp(before, -far, far), s.real_tokens(static_cast<size_t>(b)), total};
}
Growth growth(const Case& c, const Reported& r) {
  return growth(c, r.step, r.b, r.before, r.total);
}

/// Whether every length of the run (`only_step`: of that step) is the entry's.
bool explains(const LengthEntry& entry, const Run& run, std::optional<size_t> only_step = {}) {
  const std::vector<Reported> all = reported_lengths(run);
  return std::all_of(all.begin(), all.end(), [&](const Reported& r) {
    return (only_step && r.step != *only_step) || entry.length(growth(run.c, r)) == r.got;
  });
}

/// Whether the number in the failure's text, as far as cases near it tell, is one that the entry
/// can give: that of an axis or another.
bool agrees(const LengthEntry& entry, const FailureClass& learned) {
  if (learned.numbers.empty() || learned.numbers[0].is_open()) return true;
  const std::vector<std::string>& names = learned.numbers[0].names;
  if (names.empty()) return entry.axis.empty();
  return std::find(names.begin(), names.end(), entry.axis) != names.end();
}

Cause cause_of(const LengthEntry& entry, const Case& c, const Reported& r) {
  const std::string how = entry.axis.empty()
                              ? fmt::format("reports {} instead of {} tokens", r.got, r.want)
                              : fmt::format("grew by {}={} instead of q_len={} tokens", entry.axis,
                                            r.got - r.before, growth(c, r).real);
  return {std::string(entry.name), fmt::format("In step {} ({}), the cache {}: {}.", r.step,
                                               name(c.steps[r.step].op), how, entry.words)};
}

/// A step that changes what is cached, and did so in the first row alone.
std::optional<Cause> cause_from_first_row(const Run& run) {
  CacheHistory model(run.c);
  std::vector<int64_t> before(static_cast<size_t>(run.c.problem.batch), 0);
  for (size_t s = 0; s < std::min(run.steps.size(), run.c.steps.size()); ++s) {
    model.apply(s);
    const std::vector<int64_t> want = model.lengths(), &got = run.steps[s].lengths;
    if (got.size() != want.size()) return {};
    if (got != want) {
      const bool others_stay = std::equal(got.begin() + 1, got.end(), before.begin() + 1);
      if (run.c.steps[s].has_tokens() || got[0] != want[0] || !others_stay) return {};
      return Cause{"length-first-row",
                   fmt::format("In step {} ({}), only the first row changes; the others hold what "
                               "they held before.",
                               s, name(run.c.steps[s].op))};
    }
    before = got;
  }
  return {};
}

/// Every length, whatever the step, is the buffer's.
bool reports_capacity(const Run& run) {
  return run.c.cached() && run.c.cache->capacity > 0 &&
         std::all_of(run.steps.begin(), run.steps.end(), [&](const StepOutput& step) {
           return std::all_of(step.lengths.begin(), step.lengths.end(),
                              [&](int64_t length) { return length == run.c.cache->capacity; });
         });
}

/// The first wrong length comes after a step without tokens: what that did to the row.
std::vector<Cause> causes_from_changes(const Run& run) {
  CacheHistory model(run.c);
  std::vector<int64_t> before(static_cast<size_t>(run.c.problem.batch), 0);
  for (size_t s = 0; s < std::min(run.steps.size(), run.c.steps.size()); ++s) {
    model.apply(s);
    const std::vector<int64_t> want = model.lengths();
    const std::vector<int64_t>& got = run.steps[s].lengths;
    if (got.size() != want.size()) return {};
    const auto [wrong, right] = std::mismatch(got.begin(), got.end(), want.begin());
    if (wrong != got.end()) {
      if (run.c.steps[s].has_tokens()) return {};
      const std::string_view op = name(run.c.steps[s].op);
      const int64_t held = before[static_cast<size_t>(wrong - got.begin())];
      const std::string at =
          fmt::format("In step {} ({}), row {} reports {} where {} should be left", s, op,
                      wrong - got.begin(), text::count(*wrong, "token"), *right);
      if (reports_capacity(run)) return {{"length-capacity", at + ": the buffer's capacity."}};
      if (*wrong == held)
        return {{"length-unchanged", at + fmt::format(": the {} does not change its length.", op)}};
      return {{"length", at + fmt::format(" of {}: the {} leaves too {}.", held, op,
                                          *wrong > *right ? "many" : "few")}};
    }
    before = got;
  }
  return {};
}

/// Too many tokens after a reset, by no more than there were before it.
std::optional<Cause> cause_from_reset(const Case& c, const Reported& r) {
  const auto& steps = c.steps;
  size_t reset = r.step;
  while (reset > 0 && steps[reset].op != StepOp::reset) --reset;
  if (steps[reset].op != StepOp::reset) return {};
  CacheHistory model(c);
  for (size_t s = 0; s < reset; ++s) model.apply(s);
  const int64_t held = model.lengths()[static_cast<size_t>(r.b)];
  if (r.got <= r.want || r.got > r.want + held) return {};
  return Cause{"length-after-reset",
               fmt::format("In step {} ({}), row {} reports {} where {} should be cached since the "
                           "reset of step {}: the reset leaves {} of the {} before it.",
                           r.step, name(steps[r.step].op), r.b, text::count(r.got, "token"), r.want,
                           reset, r.got - r.want, held)};
}

/// What a cache says of itself beside its lengths: where it goes on, and what it can hold.
std::vector<Cause> causes_from_places(const Run& run) {
  CacheHistory model(run.c);
  for (size_t s = 0; s < std::min(run.steps.size(), run.c.steps.size()); ++s) {
    model.apply(s);
    const StepOutput& got = run.steps[s];
    const std::string at = fmt::format("In step {} ({})", s, name(run.c.steps[s].op));
    if (got.capacity && *got.capacity != model.capacity())
      return {
          {"capacity", fmt::format("{}, the cache reports a capacity of {}: {}.", at, *got.capacity,
                                   model.capacity() == 0
                                       ? "that of a part of it, as a whole it has no limit"
                                       : fmt::format("it holds up to {}", model.capacity()))}};
    const std::vector<int64_t> want = model.next_positions(), lengths = model.lengths();
    const int64_t longest = want.empty() ? 0 : *std::max_element(want.begin(), want.end());
    for (size_t b = 0; b < std::min(got.positions.size(), want.size()); ++b) {
      if (got.positions[b] == want[b]) continue;
      const std::string_view why =
          got.positions[b] == lengths[b] ? ": the number of tokens that it holds"
          : got.positions[b] >= longest  ? ": the position of the longest row, its padding counted"
                                         : "";
      return {{"position", fmt::format("{}, row {} goes on at position {} where {} is next{}.", at,
                                       b, got.positions[b], want[b], why)}};
    }
  }
  return {};
}

}  // namespace

/// Those that explain every step of the shrunk case and of the original, else every step of the
/// shrunk case, else its first wrong step; before the last a reset that leaves tokens behind.
std::vector<Cause> causes_from_lengths(const Finding& finding) {
  const Run shrunk{finding.shrunk.c, finding.last.outcome.steps};
  const Run original{finding.original, finding.first.outcome.steps};
  const std::vector<Reported> all = reported_lengths(shrunk);
  const auto wrong =
      std::find_if(all.begin(), all.end(), [](const Reported& r) { return r.got != r.want; });
  if (const std::optional<Cause> cause = cause_from_first_row(shrunk)) return {*cause};
  if (std::vector<Cause> changed = causes_from_changes(shrunk); !changed.empty()) return changed;
  if (wrong == all.end()) return causes_from_places(shrunk);
  const std::function<bool(const LengthEntry&)> ranks[] = {
      [&](const LengthEntry& e) { return explains(e, shrunk) && explains(e, original); },
      [&](const LengthEntry& e) { return explains(e, shrunk); },
      [&](const LengthEntry& e) { return explains(e, shrunk, wrong->step); }};
  std::vector<const LengthEntry*> entries;
  for (const auto& fits : ranks) {
    if (!entries.empty()) break;
    for (const LengthEntry& entry : kTable)
      if (fits(entry)) entries.push_back(&entry);
  }
  std::stable_partition(entries.begin(), entries.end(), [&](const LengthEntry* entry) {
    return wrong->before > 0 || agrees(*entry, finding.learned);
  });
  std::vector<Cause> causes;
  if (entries.empty() || !explains(*entries.front(), shrunk))
    if (std::optional<Cause> reset = cause_from_reset(shrunk.c, *wrong))
      causes.push_back(std::move(*reset));
  for (const LengthEntry* entry : entries) causes.push_back(cause_of(*entry, shrunk.c, *wrong));
  if (causes.empty())
    causes.push_back(
        {"length", fmt::format("In step {} ({}), row {} reports {} where {} are cached.",
                               wrong->step, name(shrunk.c.steps[wrong->step].op), wrong->b,
                               text::count(wrong->got, "token"), wrong->want)});
  return causes;
}

/// A step's tokens do not fit into what is left of a buffer though there is room for them: the
/// offsets that leave just as little.
std::vector<Cause> causes_from_offset(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  const size_t failed = finding.last.outcome.steps.size();
  if (!c.cached() || c.cache->capacity == 0 || failed >= c.steps.size()) return {};
  const auto sizes = match_text(
      "expanded size of the tensor ({room}) must match the existing size "
      "({tokens})",
      finding.last.outcome.text);
  if (!sizes || sizes->at("tokens")[0].value != c.steps[failed].q_len) return {};
  const int64_t room = sizes->at("room")[0].value;
  std::vector<Cause> causes;
  for (const LengthEntry& entry : kTable) {
    if (entry.axis.empty()) continue;
    int64_t offset = 0, past = 0;
    for (size_t s = 0; s < failed; ++s) {
      if (!c.steps[s].has_tokens()) return causes;
      offset = entry.length(growth(c, s, 0, offset, past + c.steps[s].q_len));
      past += c.steps[s].q_len;
    }
    if (offset == past || c.cache->capacity - std::min(offset, c.cache->capacity) != room) continue;
    causes.push_back(
        {std::string(entry.name),
         fmt::format("In step {} ({}), q_len={} tokens are written from position {} on into a "
                     "buffer of capacity={}, where past_len={} are: {} ({}).",
                     failed, name(c.steps[failed].op), c.steps[failed].q_len, offset,
                     c.cache->capacity, past, entry.words, entry.axis)});
  }
  return causes;
}

std::span<const CauseEntry> length_table() {
  static const std::vector<CauseEntry> table = [] {
    std::vector<CauseEntry> rows;
    for (const LengthEntry& row : kTable) rows.push_back({row.name, row.words});
    rows.push_back({"length", "a cache reports another number of tokens than it was given"});
    rows.push_back({"length-unchanged", "a reset, crop, reorder … leaves a length as it was"});
    rows.push_back({"length-after-reset", "a reset leaves tokens behind"});
    rows.push_back({"length-first-row", "a step changes what the first row holds, and no other"});
    rows.push_back({"position", "a cache goes on at another position than is next"});
    rows.push_back({"capacity", "a cache reports another capacity than it has"});
    return rows;
  }();
  return table;
}

}  // namespace attnfuzz
