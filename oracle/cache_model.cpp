#include "oracle/cache_model.h"

#include <algorithm>
#include <numeric>

namespace attnfuzz {
namespace {

using Sees = bool (*)(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g);

bool sees_all(const Cache&, int64_t, int64_t, int64_t) {
  return true;
}
bool sees_last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos > q_pos - cache.capacity;
}
bool sees_chunk(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos / cache.capacity >= q_pos / cache.capacity;
}
bool sees_by_head(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g) {
  return g % 2 == 0 || sees_last(cache, q_pos, key_pos, g);
}
bool sees_first_and_last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos < cache.keep || key_pos > q_pos - (cache.capacity - cache.keep);
}

/// By kind.
constexpr Sees table[] = {sees_all,   sees_all,     sees_all,           sees_last,
                          sees_chunk, sees_by_head, sees_first_and_last};
static_assert(std::size(table) == names_of<CacheKind>.size());

}  // namespace

CacheModel::CacheModel(const Case& c) : case_(c), rows_(static_cast<size_t>(c.problem.batch)) {}

bool CacheModel::sees(int64_t q_pos, int64_t key_pos, int64_t g) const {
  return table[static_cast<size_t>(case_.cache->kind)](*case_.cache, q_pos, key_pos, g);
}

/// Not even the newest token's query saw it. Head 0 is one that keeps most.
bool CacheModel::is_forgotten(const Row& row, int64_t position) const {
  return !sees(row.next - 1, position, 0);
}

int64_t CacheModel::forgotten(const Row& row) const {
  return std::count_if(row.positions.begin(), row.positions.end(),
                       [&](int64_t position) { return is_forgotten(row, position); });
}

void CacheModel::forget(Row& row) const {
  if (!case_.cache->forgets()) return;
  size_t kept = 0;
  for (size_t j = 0; j < row.tokens.size(); ++j) {
    if (is_forgotten(row, row.positions[j])) continue;
    row.tokens[kept] = row.tokens[j];
    row.positions[kept++] = row.positions[j];
  }
  row.tokens.resize(kept);
  row.positions.resize(kept);
}

void CacheModel::crop(Row& row, int64_t length) const {
  const auto stay = static_cast<size_t>(length);
  if (stay >= row.tokens.size()) return;
  row.next = row.positions[stay];
  row.tokens.resize(stay);
  row.positions.resize(stay);
}

void CacheModel::evict(Row& row, const Step& step) const {
  const int64_t count = step.evicted(static_cast<int64_t>(row.tokens.size()));
  if (count == 0) return;
  row.tokens.erase(row.tokens.begin() + step.start, row.tokens.begin() + step.start + count);
  row.positions.erase(row.positions.begin() + step.start,
                      row.positions.begin() + step.start + count);
  if (case_.cache->positions == Positions::kept) return;
  std::iota(row.positions.begin(), row.positions.end(), 0);
  row.next = static_cast<int64_t>(row.positions.size());
}

void CacheModel::apply(size_t index) {
  const Step& step = case_.steps[index];
  for (Row& row : rows_) forget(row);  // what the step before left behind
  if (step.op == StepOp::reorder) {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) rows_[b] = old[static_cast<size_t>(step.rows[b])];
  }
  if (step.op == StepOp::fork)
    rows_[static_cast<size_t>(step.to)] = rows_[static_cast<size_t>(step.from)];
  for (size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    if (step.op == StepOp::reset) row = Row{};
    if (step.op == StepOp::crop) crop(row, step.length);
    if (step.op == StepOp::evict) evict(row, step);
    row.past = row.next;
    row.added = step.has_tokens() ? step.real_tokens(b) : 0;
    row.first_new = step.has_tokens() ? step.first_real(b) : 0;
    for (int64_t i = 0; i < row.added; ++i) {
      row.tokens.push_back(
          {static_cast<int32_t>(index), static_cast<int32_t>(b), row.first_new + i});
      row.positions.push_back(row.next++);
    }
  }
}

std::vector<int64_t> CacheModel::lengths() const {
  std::vector<int64_t> lengths;
  for (const Row& row : rows_)
    lengths.push_back(static_cast<int64_t>(row.tokens.size()) - forgotten(row));
  return lengths;
}

std::vector<int64_t> CacheModel::next_positions() const {
  std::vector<int64_t> next;
  for (const Row& row : rows_) next.push_back(row.next);
  return next;
}

int64_t CacheModel::capacity() const {
  return case_.cache->kind == CacheKind::hybrid ? 0 : case_.cache->capacity;
}

}  // namespace attnfuzz
