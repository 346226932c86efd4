// Reductions of a cache and its steps.
#include "fuzz/candidates.h"

namespace attnfuzz {
namespace {

void set_step_q_len(Step& step, int64_t q_len) {
  step.q_len = q_len;
  for (int64_t& len : step.lens) len = std::min(len, step.keys());
}

void set_step_kv_len(Step& step, int64_t kv_len) {
  step.kv_len = kv_len;
  for (int64_t& len : step.lens) len = std::min(len, kv_len);
}

}  // namespace

/// A cache that is filled once and no more is no cache.
void drop_cache(const Case& c, Candidates& candidates) {
  if (!c.cached() || c.steps.size() != 1 || !c.steps.front().lens.empty()) return;
  Case plain = c;
  plain.problem.q_len = c.steps.front().q_len;
  plain.problem.kv_len = c.steps.front().keys();
  plain.cache.reset();
  plain.steps.clear();
  candidates.add("no cache", std::move(plain));
}

void drop_steps(const Case& c, Candidates& candidates) {
  const size_t count = c.steps.size();
  if (count < 2) return;
  for (size_t block = count - 1; block > 0; block = block > count / 2 ? count / 2 : block / 2)
    for (size_t first = 0; first + block <= count; ++first) {
      Case fewer = c;
      const auto begin = fewer.steps.begin() + static_cast<ptrdiff_t>(first);
      fewer.steps.erase(begin, begin + static_cast<ptrdiff_t>(block));
      // Without the prefill the step behind it becomes one.
      const bool had_prefill =
          std::any_of(c.steps.begin() + static_cast<ptrdiff_t>(first),
                      c.steps.begin() + static_cast<ptrdiff_t>(first + block),
                      [](const Step& step) { return step.op == StepOp::prefill; });
      if (had_prefill && first < fewer.steps.size() && fewer.steps[first].has_tokens())
        fewer.steps[first].op = StepOp::prefill;
      candidates.add(fmt::format("{} of {} steps less, from step {}", block, count, first),
                     std::move(fewer));
    }
}

/// Two steps of new tokens become one with the tokens of both.
void merge_steps(const Case& c, Candidates& candidates) {
  for (size_t s = 0; s + 1 < c.steps.size(); ++s) {
    const Step &a = c.steps[s], &b = c.steps[s + 1];
    if (!a.has_tokens() || !b.has_tokens() || !a.lens.empty() || !b.lens.empty()) continue;
    Case merged = c;
    Step& both = merged.steps[s];
    if (both.op == StepOp::decode) both.op = StepOp::append;
    both.q_len += b.q_len;
    if (b.kv_len) *both.kv_len += *b.kv_len;
    merged.steps.erase(merged.steps.begin() + static_cast<ptrdiff_t>(s) + 1);
    candidates.add(fmt::format("steps {} and {} in one", s, s + 1), std::move(merged));
  }
}

void simpler_cache(const Case& c, Candidates& candidates) {
  if (!c.cached()) return;
  for (size_t kind = 0; kind < static_cast<size_t>(c.cache->kind); ++kind) {
    Case simpler = c;
    simpler.cache->kind = static_cast<CacheKind>(kind);
    simpler.cache->page_size = simpler.cache->keep = 0;
    if (simpler.cache->kind == CacheKind::dynamic) simpler.cache->capacity = 0;
    candidates.add(fmt::format("{} cache", names_of<CacheKind>[kind]), std::move(simpler));
  }
  candidates.lower("capacity", c, c.cache->capacity, 1,
                   [](Case& to, int64_t value) { to.cache->capacity = value; });
  candidates.lower("page_size", c, c.cache->page_size, 1,
                   [](Case& to, int64_t value) { to.cache->page_size = value; });
  candidates.lower("keep", c, c.cache->keep, 1,
                   [](Case& to, int64_t value) { to.cache->keep = value; });
}

void simpler_steps(const Case& c, Candidates& candidates) {
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const Step& step = c.steps[s];
    const std::string at = fmt::format("step {}: ", s);
    candidates.lower(at + "q_len", c, step.q_len, 1,
                     [s](Case& to, int64_t value) { set_step_q_len(to.steps[s], value); });
    candidates.lower(at + "kv_len", c, step.kv_len.value_or(0), 1,
                     [s](Case& to, int64_t value) { set_step_kv_len(to.steps[s], value); });
    candidates.lower(at + "length", c, step.length, 0,
                     [s](Case& to, int64_t value) { to.steps[s].length = value; });
    candidates.lower(at + "start", c, step.start, 0,
                     [s](Case& to, int64_t value) { to.steps[s].start = value; });
    candidates.lower(at + "count", c, step.count, 1,
                     [s](Case& to, int64_t value) { to.steps[s].count = value; });
    if (!step.lens.empty()) {
      Case even = c;
      even.steps[s].lens.clear();
      even.steps[s].side = Side::right;
      candidates.add(at + "not ragged", std::move(even));
    }
    if (step.side != Side::right) {
      Case right = c;
      right.steps[s].side = Side::right;
      candidates.add(at + "padded on the right", std::move(right));
    }
    for (size_t b = 0; b < step.lens.size(); ++b)
      candidates.lower(
          fmt::format("{}tokens missing in row {}", at, b), c, step.keys() - step.lens[b], 0,
          [&, s, b](Case& to, int64_t value) { to.steps[s].lens[b] = step.keys() - value; });
    for (size_t b = 0; b < step.rows.size(); ++b) {
      if (step.rows[b] == static_cast<int64_t>(b)) continue;
      Case own = c;
      own.steps[s].rows[b] = static_cast<int64_t>(b);
      candidates.add(fmt::format("{}row {} stays", at, b), std::move(own));
    }
  }
}

}  // namespace attnfuzz
