#include <algorithm>

#include "fuzz/relations/padding.h"
#include "fuzz/relations/split.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

/// Where the history that a crop cuts begins; none if more than tokens came since.
std::optional<size_t> history_of(const Case& c, size_t crop) {
  size_t first = crop;
  while (first > 0 && c.steps[first - 1].op != StepOp::reset) {
    if (!c.steps[first - 1].has_tokens()) return {};
    --first;
  }
  return first;
}

/// The step with the first `room[b]` of its real tokens alone; what is kept leaves the room.
Step kept_part(const Step& step, std::vector<int64_t>& room) {
  Step part = step;
  part.lens.clear();
  for (size_t b = 0; b < room.size(); ++b) {
    part.lens.push_back(std::min(room[b], step.real_tokens(b)));
    room[b] -= part.lens.back();
  }
  return part;
}

/// The first crop is left out, and what it drops with it.
std::optional<Twin> twin(const Case& c) {
  const auto found = std::find_if(c.steps.begin(), c.steps.end(),
                                  [](const Step& step) { return step.op == StepOp::crop; });
  if (!has_plain_steps(c) || !sees_no_future(c) || found == c.steps.end()) return {};
  const auto crop = static_cast<size_t>(found - c.steps.begin());
  const std::optional<size_t> first = history_of(c, crop);
  if (!first) return {};
  const Twin all = same(c);
  Twin twin{c, {}, 1};
  twin.c.steps.clear();
  std::vector<int64_t> room(static_cast<size_t>(c.problem.batch), found->length);
  for (size_t n = 0; n < c.steps.size(); ++n) {
    if (n == crop) {
      if (twin.steps.size() > *first) twin.steps.back().state_of = static_cast<int64_t>(crop);
      continue;
    }
    Step step = c.steps[n];
    StepOrigins origins = all.steps[n];
    if (n >= *first && n < crop) {
      step = kept_part(step, room);
      const int64_t longest = *std::max_element(step.lens.begin(), step.lens.end());
      if (longest == 0) continue;
      const bool even = *std::min_element(step.lens.begin(), step.lens.end()) == longest;
      if (c.steps[n].lens.empty() && even) {  // as many of each row
        origins = {};
        step.q_len = longest;
        step.lens.clear();
        for (int64_t b = 0; b < c.problem.batch; ++b)
          for (int64_t s = 0; s < longest; ++s)
            origins.queries.push_back({static_cast<int64_t>(n), b, s});
        origins.keys = origins.queries;
        origins.rows = all.steps[n].rows;
      } else if (c.steps[n].side == Side::left) {
        return {};  // what is kept would move
      }
      origins.state_of = -1;
    }
    twin.c.steps.push_back(std::move(step));
    twin.steps.push_back(std::move(origins));
  }
  mend_prefills(twin.c);
  return twin;
}

}  // namespace

const Relation crop_never = {
    .name = "crop-never",
    .words = "a cache that is cropped goes on as one that never held more",
    .cause =
        "A crop leaves something behind: stale keys that are still seen, a length or a write "
        "offset that was not taken back, or a position.",
    .twin = twin};

}  // namespace attnfuzz::relation
