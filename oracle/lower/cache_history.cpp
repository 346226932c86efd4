#include "oracle/lower/cache_history.h"

#include <algorithm>

namespace attnfuzz {
namespace {

using Shows = bool (*)(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g);

bool all(const Cache&, int64_t, int64_t, int64_t) {
  return true;
}
bool last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos > q_pos - cache.capacity;
}
bool chunk(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos / cache.capacity >= q_pos / cache.capacity;
}
bool by_head(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g) {
  return g % 2 == 0 || last(cache, q_pos, key_pos, g);
}
bool first_and_last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos < cache.keep || key_pos > q_pos - (cache.capacity - cache.keep);
}

/// By kind.
constexpr Shows table[] = {all, all, all, last, chunk, by_head, first_and_last, all};
static_assert(std::size(table) == names_of<CacheKind>.size());

}  // namespace

bool cache_shows(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g) {
  return table[static_cast<size_t>(cache.kind)](cache, q_pos, key_pos, g);
}

CacheHistory::CacheHistory(const Case& c) : case_(c), rows_(static_cast<size_t>(c.problem.batch)) {}

/// Not even the newest token's query saw it. Head 0 is one that keeps most.
bool CacheHistory::is_forgotten(const Row& row, int64_t position) const {
  return !cache_shows(*case_.cache, row.next - 1, position, 0);
}

void CacheHistory::forget(Row& row) const {
  if (!case_.cache->forgets()) return;
  std::erase_if(row.entries,
                [&](const KeyEntry& entry) { return is_forgotten(row, entry.position); });
}

void CacheHistory::copy_rows(const Step& step) {
  if (step.op == StepOp::reorder) {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) rows_[b] = old[static_cast<size_t>(step.rows[b])];
  }
  if (step.op == StepOp::fork)
    rows_[static_cast<size_t>(step.to)] = rows_[static_cast<size_t>(step.from)];
}

void CacheHistory::evict(Row& row, const Step& step) const {
  const int64_t count = step.evicted(static_cast<int64_t>(row.entries.size()));
  if (count == 0) return;
  row.entries.erase(row.entries.begin() + step.start, row.entries.begin() + step.start + count);
  if (case_.cache->positions == Positions::kept) return;
  row.next = 0;
  for (KeyEntry& entry : row.entries) entry.position = entry.angle = row.next++;
}

void CacheHistory::append(size_t index, size_t b) {
  const Step& step = case_.steps[index];
  for (int64_t i = 0; i < step.real_tokens(b); ++i) {
    const Token token{static_cast<int32_t>(index), static_cast<int32_t>(b), step.first_real(b) + i};
    rows_[b].entries.push_back({token, token, rows_[b].next, rows_[b].next});
    ++rows_[b].next;
  }
}

void CacheHistory::apply(size_t index) {
  const Step& step = case_.steps[index];
  for (Row& row : rows_) forget(row);  // what the step before left behind
  copy_rows(step);
  for (size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    if (step.op == StepOp::reset) row = {};
    if (const auto stay = static_cast<size_t>(step.length);
        step.op == StepOp::crop && stay < row.entries.size()) {
      row.next = row.entries[stay].position;
      row.entries.resize(stay);
    }
    if (step.op == StepOp::evict) evict(row, step);
    row.past = row.next;
    row.queries = step.has_tokens() ? step.real_queries(b) : 0;
    row.first_query = step.has_tokens() ? step.first_query(b) : 0;
    if (step.has_tokens()) append(index, b);
  }
}

StepPlan CacheHistory::plan() const {
  StepPlan step;
  step.rows.resize(rows_.size());
  for (size_t b = 0; b < step.rows.size(); ++b) {
    const Row& row = rows_[b];
    for (const KeyEntry& entry : row.entries) step.rows[b].add(entry);
    if (row.queries > 0)
      step.rows[b].queries.push_back({row.first_query, row.past, row.past, row.queries});
  }
  step.lengths = lengths();
  step.positions = next_positions();
  step.capacity = capacity();
  return step;
}

std::vector<int64_t> CacheHistory::positions(int64_t b) const {
  std::vector<int64_t> positions;
  for (const KeyEntry& entry : row(b).entries) positions.push_back(entry.position);
  return positions;
}

std::vector<int64_t> CacheHistory::lengths() const {
  std::vector<int64_t> lengths;
  for (const Row& row : rows_)
    lengths.push_back(
        std::count_if(row.entries.begin(), row.entries.end(), [&](const KeyEntry& entry) {
          return entry.position < row.next && !is_forgotten(row, entry.position);
        }));
  return lengths;
}

std::vector<int64_t> CacheHistory::held_positions(int64_t b) const {
  std::vector<int64_t> held;
  for (const KeyEntry& entry : row(b).entries)
    if (!is_forgotten(row(b), entry.position)) held.push_back(entry.position);
  return held;
}

std::vector<int64_t> CacheHistory::next_positions() const {
  std::vector<int64_t> next;
  for (const Row& row : rows_) next.push_back(row.next);
  return next;
}

int64_t CacheHistory::capacity() const {
  return case_.cache->kind == CacheKind::hybrid ? 0 : case_.cache->capacity;
}

}  // namespace attnfuzz
