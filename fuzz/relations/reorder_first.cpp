#include <algorithm>
#include <numeric>

#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

bool moves_rows(const Step& step) {
  return step.op == StepOp::reorder || step.op == StepOp::fork;
}

std::vector<int64_t> rows_after(const Step& step, int64_t batch) {
  if (step.op == StepOp::reorder) return step.rows;
  std::vector<int64_t> rows(static_cast<size_t>(batch));
  std::iota(rows.begin(), rows.end(), 0);
  rows[static_cast<size_t>(step.to)] = step.from;
  return rows;
}

/// The first reorder or fork is left out; all before it is done with the rows that it leads to.
std::optional<Twin> twin(const Case& c) {
  const auto found = std::find_if(c.steps.begin(), c.steps.end(), moves_rows);
  if (found == c.steps.end() || has_rules_by_row(c)) return {};
  const int64_t batch = c.problem.batch;
  const std::vector<int64_t> rows = rows_after(*found, batch);
  const auto until = static_cast<size_t>(found - c.steps.begin());
  Twin twin = same(c);
  for (size_t n = 0; n < until; ++n) {
    Step& step = twin.c.steps[n];
    StepOrigins& origins = twin.steps[n];
    origins.rows = rows;
    for (size_t b = 0; b < step.lens.size(); ++b)
      step.lens[b] = c.steps[n].lens[static_cast<size_t>(rows[b])];
    for (std::vector<Origin>* each : {&origins.queries, &origins.keys})
      for (Origin& origin : *each) origin.b = rows[static_cast<size_t>(origin.b)];
  }
  twin.c.steps.erase(twin.c.steps.begin() + static_cast<ptrdiff_t>(until));
  twin.steps.erase(twin.steps.begin() + static_cast<ptrdiff_t>(until));
  return twin;
}

}  // namespace

const Relation reorder_first = {
    .name = "reorder-first",
    .words = "to reorder the rows of a cache and go on gives what a batch in that order gives",
    .cause =
        "A reorder or fork does not move all that belongs to a row: a layer's or a head's part, "
        "the row's length, its positions, or its state.",
    .twin = twin};

}  // namespace attnfuzz::relation
