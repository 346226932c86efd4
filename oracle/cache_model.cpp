#include "oracle/cache_model.h"

#include <algorithm>
#include <limits>

namespace attnfuzz {

CacheModel::CacheModel(const Case& c) : case_(c), rows_(static_cast<size_t>(c.problem.batch)) {}

int64_t CacheModel::kept(const Row& row) const {
  const auto size = static_cast<int64_t>(row.tokens.size());
  return case_.cache->kind == CacheKind::ring ? std::min(size, case_.cache->capacity) : size;
}

int64_t CacheModel::horizon(int64_t q_pos) const {
  return case_.cache->kind == CacheKind::ring ? q_pos - case_.cache->capacity + 1
                                              : std::numeric_limits<int64_t>::min();
}

void CacheModel::apply(size_t index) {
  const Step& step = case_.steps[index];
  for (Row& row : rows_) {  // what the step before left behind
    const int64_t gone = static_cast<int64_t>(row.tokens.size()) - kept(row);
    row.tokens.erase(row.tokens.begin(), row.tokens.begin() + gone);
    row.first += gone;
  }
  if (step.op == StepOp::reorder) {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) rows_[b] = old[static_cast<size_t>(step.rows[b])];
  }
  for (size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    if (step.op == StepOp::reset) row = Row{};
    if (step.op == StepOp::crop) {
      const auto stay = static_cast<size_t>(std::max<int64_t>(0, step.length - row.first));
      if (stay < row.tokens.size()) row.tokens.resize(stay);
    }
    row.past = row.first + static_cast<int64_t>(row.tokens.size());
    row.added = !step.has_tokens() ? 0 : step.lens.empty() ? step.q_len : step.lens[b];
    for (int64_t i = 0; i < row.added; ++i) {
      row.tokens.push_back({static_cast<int32_t>(index), static_cast<int32_t>(b), i});
    }
  }
}

std::vector<int64_t> CacheModel::lengths() const {
  std::vector<int64_t> lengths;
  for (const Row& row : rows_) lengths.push_back(kept(row));
  return lengths;
}

}  // namespace attnfuzz
