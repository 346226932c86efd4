#include "reports/causes/row_classes.h"

#include <algorithm>

#include "oracle/lower/cache_history.h"

namespace attnfuzz {
namespace {

int64_t real_keys(const Row& row) {
  const RuleUse* padding = row.c.problem.mask.find("padding");
  return padding ? padding->list(1)[static_cast<size_t>(row.b)] : row.c.problem.kv_len;
}

constexpr RowClass<Row> kKeyClasses[] = {
    {"rows-no-key", "that see no key at all", [](const Row& r) { return r.keys.empty(); }},
    {"rows-one-key", "that see a single key", [](const Row& r) { return r.keys.size() == 1; }},
    {"rows-padded", "of batch rows with padding",
     [](const Row& r) { return real_keys(r) < r.c.problem.kv_len; }},
    {"rows-unpadded", "of batch rows without padding",
     [](const Row& r) { return real_keys(r) == r.c.problem.kv_len; }},
    {"rows-first-key", "that see key 0",
     [](const Row& r) { return !r.keys.empty() && r.keys.front() == 0; }},
    {"rows-not-first-key", "that see some key but not key 0",
     [](const Row& r) { return !r.keys.empty() && r.keys.front() > 0; }},
    {"rows-last-key", "that see the last key",
     [](const Row& r) { return !r.keys.empty() && r.keys.back() == r.c.problem.kv_len - 1; }},
    {"rows-gaps", "that see keys with gaps between them",
     [](const Row& r) {
       return !r.keys.empty() &&
              r.keys.back() - r.keys.front() + 1 != static_cast<int64_t>(r.keys.size());
     }},
};

constexpr RowClass<Row> kPlaceClasses[] = {
    {"rows-past-keys", "whose index is beyond the last key (i ≥ kv_len)",
     [](const Row& r) { return r.i >= r.c.problem.kv_len; }},
    {"rows-first", "of the first query", [](const Row& r) { return r.i == 0; }},
    {"rows-last", "of the last query", [](const Row& r) { return r.i == r.c.problem.q_len - 1; }},
    {"heads-not-first", "of query heads that do not come first in their group",
     [](const Row& r) {
       return r.h % std::max<int64_t>(1, r.c.problem.num_heads / r.c.problem.num_kv_heads) != 0;
     }},
    {"heads-not-first-key-head",
     "of all KV heads but the first one of the first batch row: the next one is looked for "
     "elsewhere than it lies",
     [](const Row& r) { return r.b > 0 || r.c.problem.kv_head(r.h) > 0; }},
};

bool comes_after(const StepRow& r, StepOp op) {
  for (size_t s = 0; s < r.s; ++s)
    if (r.c.steps[s].op == op) return true;
  return false;
}

constexpr RowClass<StepRow> kStepClasses[] = {
    {"steps-fill", "that a step fills to the cache's capacity, no more",
     [](const StepRow& r) { return r.total == r.c.cache->capacity; }},
    {"steps-overflow", "that have had more tokens than the cache's capacity",
     [](const StepRow& r) { return r.c.cache->capacity > 0 && r.total > r.c.cache->capacity; }},
    {"steps-after-evict", "of steps after an eviction",
     [](const StepRow& r) { return comes_after(r, StepOp::evict); }},
    {"steps-after-fork", "of steps after a fork",
     [](const StepRow& r) { return comes_after(r, StepOp::fork); }},
    {"steps-after-reorder", "of steps after a reorder",
     [](const StepRow& r) { return comes_after(r, StepOp::reorder); }},
    {"steps-after-crop", "of steps after a crop",
     [](const StepRow& r) { return comes_after(r, StepOp::crop); }},
    {"steps-after-reset", "of steps after a reset",
     [](const StepRow& r) { return comes_after(r, StepOp::reset); }},
    {"steps-padded", "with padding in the step",
     [](const StepRow& r) {
       const Step& step = r.c.steps[r.s];
       return step.real_tokens(static_cast<size_t>(r.b)) < step.keys();
     }},
    {"steps-ragged", "that are shorter than another row of the batch",
     [](const StepRow& r) {
       CacheHistory model(r.c);
       for (size_t s = 0; s <= r.s; ++s) model.apply(s);
       const std::vector<int64_t> next = model.next_positions();
       return r.total < *std::max_element(next.begin(), next.end());
     }},
    {"steps-past-one", "of steps of one token on tokens that are there",
     [](const StepRow& r) { return r.past > 0 && r.total == r.past + 1; }},
    {"steps-past-many", "of steps of several tokens on tokens that are there",
     [](const StepRow& r) { return r.past > 0 && r.total > r.past + 1; }},
    {"steps-past", "of steps on tokens that are there",
     [](const StepRow& r) { return r.past > 0; }},
    {"steps-first", "of steps on an empty cache", [](const StepRow& r) { return r.past == 0; }},
};

}  // namespace

const std::span<const RowClass<Row>> key_classes = kKeyClasses, place_classes = kPlaceClasses;
const std::span<const RowClass<StepRow>> step_classes = kStepClasses;

}  // namespace attnfuzz
