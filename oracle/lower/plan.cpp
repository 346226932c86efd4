#include "oracle/lower/plan.h"

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
  for (const int64_t len : documents->list("lens")) {
    starts.push_back(start);
    start += len;
  }
  return starts;
}

/// The queries of a sequence; each by itself where their angles are given.
void add_queries(const Problem& p, const PackedSequence& sequence, RowPlan& row) {
  const int64_t position = sequence.first_position(p.mask.align), count = sequence.q_len;
  if (p.rope_positions.empty() && count > 0)
    row.queries.push_back({sequence.q_begin, position, position, count});
  for (int64_t i = 0; i < count && !p.rope_positions.empty(); ++i)
    row.add(QueryRun{sequence.q_begin + i, position + i, p.rope_position(position + i), 1});
}

void add_keys(const Problem& p, int64_t b, RowPlan& row) {
  const auto token = [&](int64_t j) { return Token{0, static_cast<int32_t>(b), j}; };
  if (p.rope_positions.empty() && p.kv_len > 0)
    row.keys.push_back({{token(0), token(0), 0, 0}, p.kv_len});
  for (int64_t j = 0; j < p.kv_len && !p.rope_positions.empty(); ++j)
    row.add(KeyEntry{token(j), token(j), j, p.rope_position(j)});
}

/// Without a cache all keys of a row are there at once.
StepPlan lower_at_once(const Case& c) {
  const Problem& p = c.problem;
  StepPlan step;
  const std::vector<PackedSequence> all = sequences(p);
  for (int64_t b = 0; b < p.batch; ++b) {
    RowPlan& row = step.rows.emplace_back();
    add_keys(p, b, row);
    for (const PackedSequence& each : all) add_queries(p, each, row);
    if (p.recurrent()) row.starts = document_starts(p);
  }
  return step;
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

}  // namespace attnfuzz
