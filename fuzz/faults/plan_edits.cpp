#include "fuzz/faults/plan_edits.h"

#include <algorithm>

namespace attnfuzz::fault {
namespace {

/// A key of a row, and its place.
struct Placed {
  KeyEntry entry;
  Place place;
};
using PlacedRow = std::vector<Placed>;

/// The row that row b goes on from in a step.
size_t source_row(const Step& step, size_t b) {
  if (step.op == StepOp::reorder) return static_cast<size_t>(step.rows[b]);
  if (step.op == StepOp::fork && b == static_cast<size_t>(step.to))
    return static_cast<size_t>(step.from);
  return b;
}

/// A row's keys after step s. Tokens stay in order, so that one pass finds them among `before`.
PlacedRow placed(const Case& c, size_t s, size_t b, const RowPlan& row, const PlacedRow& before) {
  const Step& step = c.steps[s];
  const bool moves = step.op == StepOp::evict &&
                     step.evicted(static_cast<int64_t>(before.size())) > 0 &&
                     c.cache->positions == Positions::shifted;
  PlacedRow keys;
  auto old = before.begin();
  int64_t first = -1;
  for (const KeyEntry& entry : row.entries()) {
    const int64_t at = entry.position;
    if (entry.key.step == static_cast<int64_t>(s)) {
      if (first < 0) first = at;
      keys.push_back({entry, {at, at, first, 0, static_cast<int64_t>(b), true}});
      continue;
    }
    old = std::find_if(old, before.end(),
                       [&](const Placed& each) { return each.entry.key == entry.key; });
    Place place = old->place;
    if (moves) place.last_move = at - place.position;
    place.position = at;
    place.row = static_cast<int64_t>(b);
    place.fresh = false;
    keys.push_back({entry, place});
  }
  return keys;
}

void edit_row(const Case& c, const PlanEdit& edit, const PlacedRow& keys, int64_t first,
              RowPlan& row) {
  if (edit.key_angle == nullptr && edit.key_position == nullptr) return;
  row.keys.clear();
  for (Placed key : keys) {
    if (edit.key_position != nullptr)
      key.entry.position = key.entry.angle = edit.key_position(key.place, first, c.cache->capacity);
    if (edit.key_angle != nullptr) key.entry.angle = edit.key_angle(key.place);
    row.add(key.entry);
  }
}

void edit_queries(const PlanEdit& edit, int64_t first, int64_t of_first_row, RowPlan& row) {
  const std::vector<QueryRun> runs = std::move(row.queries);
  row.queries.clear();
  const int64_t by = edit.queries_of_first_row ? of_first_row - first : 0;
  for (const QueryRun& run : runs)
    for (int64_t n = 0; n < run.count; ++n) {
      const int64_t position = run.position + n + by;
      const int64_t angle =
          edit.query_angle == nullptr ? position : edit.query_angle(position, first);
      row.add(QueryRun{run.i + n, position, angle, 1});
    }
}

}  // namespace

Plan edited(const Case& c, const PlanEdit& edit) {
  Plan plan = lower(c);
  std::vector<PlacedRow> rows(static_cast<size_t>(c.problem.batch));
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    StepPlan& step = plan.steps[s];
    const std::vector<PlacedRow> before = rows;
    const int64_t of_first_row = step.rows.empty() || step.rows[0].queries.empty()
                                     ? 0
                                     : step.rows[0].queries.front().position;
    for (size_t b = 0; b < step.rows.size(); ++b) {
      RowPlan& row = step.rows[b];
      rows[b] = placed(c, s, b, row, before[source_row(c.steps[s], b)]);
      const int64_t first = row.queries.empty() ? 0 : row.queries.front().position;
      edit_row(c, edit, rows[b], first, row);
      edit_queries(edit, first, of_first_row, row);
    }
    const bool prefill = c.steps[s].op == StepOp::prefill;
    for (int64_t g = 0; edit.scale_head != nullptr && g < c.problem.num_kv_heads; ++g)
      step.scale_heads.push_back(edit.scale_head(g, prefill));
  }
  return plan;
}

}  // namespace attnfuzz::fault
