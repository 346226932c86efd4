#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

/// One row keeps its place; each other becomes a copy of the row behind it.
std::optional<Twin> twin(const Case& c) {
  const int64_t batch = c.problem.batch;
  if (batch < 2) return {};
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < batch; ++b) rows.push_back((b + 1) % batch);
  const int64_t kept = chosen(c, 0, batch - 1);
  rows[static_cast<size_t>(kept)] = kept;
  return rows_of(c, rows);
}

}  // namespace

const Relation neighbours = {
    .name = "neighbours",
    .words = "a row's output does not depend on what the other rows of its batch hold",
    .cause =
        "A row's output depends on its neighbours in the batch: a scale, a maximum or a length "
        "over all rows, or another row's keys.",
    .twin = twin};

}  // namespace attnfuzz::relation
