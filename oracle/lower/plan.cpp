#include "oracle/lower/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "oracle/lower/cache_history.h"

namespace attnfuzz {
namespace {

bool follows(const Token& next, const Token& token, int64_t by) {
  if (token == no_token || next == no_token) return token == next;
  return next.step == token.step && next.row == token.row && next.i == token.i + by;
}

Token moved(Token token, int64_t by) {
  if (token != no_token) token.i += by;
  return token;
}

KeyEntry entry_of(const KeyRun& run, int64_t n) {
  return {moved(run.first.key, n), moved(run.first.value, n), run.first.position + n,
          run.first.angle + n};
}

std::vector<int64_t> document_starts(const Problem& p) {
  std::vector<int64_t> starts;
  const RuleUse* documents = p.mask.find("documents");
  if (documents == nullptr) return starts;
  int64_t start = 0;
  for (const int64_t len : documents->list(0)) {
    starts.push_back(start);
    start += len;
  }
  return starts;
}

/// Without a cache all keys of a row are there at once.
StepPlan lower_at_once(const Case& c) {
  const Problem& p = c.problem;
  StepPlan step;
  const int64_t position = query_position(p, 0);
  for (int64_t b = 0; b < p.batch; ++b) {
    RowPlan& row = step.rows.emplace_back();
    const Token first{0, static_cast<int32_t>(b), 0};
    if (p.kv_len > 0) row.keys.push_back({{first, first, 0, 0}, p.kv_len});
    if (p.q_len > 0) row.queries.push_back({0, position, position, p.q_len});
    if (p.recurrent()) row.starts = document_starts(p);
  }
  return step;
}

std::string token_text(const Case& c, const Token& token, int64_t count) {
  if (token == no_token) return "zeros";
  const std::string step = c.cached() ? fmt::format("step {} ", token.step) : "";
  return count == 1
             ? fmt::format("{}row {} token {}", step, token.row, token.i)
             : fmt::format("{}row {} tokens {}…{}", step, token.row, token.i, token.i + count - 1);
}

std::string range_text(int64_t first, int64_t count) {
  return count == 1 ? std::to_string(first) : fmt::format("{}…{}", first, first + count - 1);
}

std::string key_text(const Case& c, const KeyRun& run) {
  const KeyEntry& first = run.first;
  std::string text =
      first.key == first.value
          ? "  keys and values: " + token_text(c, first.key, run.count)
          : fmt::format("  keys: {}; values: {}", token_text(c, first.key, run.count),
                        token_text(c, first.value, run.count));
  text += " at " + range_text(first.position, run.count);
  if (c.problem.rope != Rope::none && first.angle != first.position)
    text += ", rotated by " + range_text(first.angle, run.count);
  return text + "\n";
}

}  // namespace

int64_t RowPlan::num_keys() const {
  int64_t count = 0;
  for (const KeyRun& run : keys) count += run.count;
  return count;
}

int64_t RowPlan::num_queries() const {
  int64_t count = 0;
  for (const QueryRun& run : queries) count += run.count;
  return count;
}

void RowPlan::add(const KeyEntry& entry) {
  if (!keys.empty()) {
    KeyRun& last = keys.back();
    const KeyEntry& first = last.first;
    if (follows(entry.key, first.key, last.count) &&
        follows(entry.value, first.value, last.count) &&
        entry.position == first.position + last.count && entry.angle == first.angle + last.count) {
      ++last.count;
      return;
    }
  }
  keys.push_back({entry, 1});
}

void RowPlan::add(const QueryRun& query) {
  if (!queries.empty()) {
    QueryRun& last = queries.back();
    if (query.i == last.i + last.count && query.position == last.position + last.count &&
        query.angle == last.angle + last.count) {
      ++last.count;
      return;
    }
  }
  queries.push_back(query);
}

std::vector<KeyEntry> RowPlan::entries() const {
  std::vector<KeyEntry> entries;
  entries.reserve(static_cast<size_t>(num_keys()));
  for (const KeyRun& run : keys)
    for (int64_t n = 0; n < run.count; ++n) entries.push_back(entry_of(run, n));
  return entries;
}

Plan lower(const Case& c, CacheHistory& history) {
  Plan plan;
  plan.steps.reserve(c.steps.size());
  for (size_t n = 0; n < c.steps.size(); ++n) {
    history.apply(n);
    plan.steps.push_back(history.plan());
  }
  return plan;
}

Plan lower(const Case& c) {
  if (!c.cached()) return {{lower_at_once(c)}};
  CacheHistory history(c);
  return lower(c, history);
}

std::string plan_text(const Case& c, const Plan& plan) {
  std::string text;
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const StepPlan& step = plan.steps[s];
    if (c.cached()) text += fmt::format("step {} ({})\n", s, name(c.steps[s].op));
    for (size_t b = 0; b < step.rows.size(); ++b) {
      if (step.rows[b].queries.empty()) continue;
      text += fmt::format(" row {}\n", b);
      for (const QueryRun& run : step.rows[b].queries) {
        text += fmt::format("  queries: {} at {}", range_text(run.i, run.count),
                            range_text(run.position, run.count));
        if (c.problem.rope != Rope::none && run.angle != run.position)
          text += ", rotated by " + range_text(run.angle, run.count);
        text += "\n";
      }
      if (c.problem.memory_kv > 0)
        text += fmt::format("  memory keys: {}, seen by every query\n", c.problem.memory_kv);
      for (const KeyRun& run : step.rows[b].keys) text += key_text(c, run);
    }
    if (c.cached())
      text += fmt::format(" after it: lengths [{}], next positions [{}]{}\n",
                          fmt::join(step.lengths, ", "), fmt::join(step.positions, ", "),
                          step.capacity > 0 ? fmt::format(", capacity {}", step.capacity) : "");
  }
  return text;
}

}  // namespace attnfuzz
