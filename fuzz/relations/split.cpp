#include "fuzz/relations/split.h"

#include <algorithm>

namespace attnfuzz {
namespace {

/// Tokens [from, to) of a step.
Step part_of(const Step& whole, int64_t from, int64_t to) {
  Step part = whole;
  part.q_len = to - from;
  if (from > 0) part.op = StepOp::append;
  for (size_t b = 0; b < whole.lens.size(); ++b) {
    const int64_t first = whole.first_real(b), last = first + whole.lens[b];
    part.lens[b] = std::max<int64_t>(0, std::min(last, to) - std::max(first, from));
  }
  return part;
}

}  // namespace

std::optional<size_t> step_to_split(const Case& c) {
  if (!has_plain_steps(c) || !sees_no_future(c)) return {};
  std::vector<size_t> possible;
  for (size_t n = 0; n < c.steps.size(); ++n)
    if (c.steps[n].has_tokens() && c.steps[n].q_len > 1) possible.push_back(n);
  if (possible.empty()) return {};
  return possible[static_cast<size_t>(chosen(c, 0, static_cast<int64_t>(possible.size()) - 1))];
}

std::optional<Twin> split(const Case& c, size_t step, const std::vector<int64_t>& cuts) {
  Twin twin = same(c);
  const Step whole = c.steps[step];
  const StepOrigins origins = twin.steps[step];
  twin.c.steps.erase(twin.c.steps.begin() + static_cast<ptrdiff_t>(step));
  twin.steps.erase(twin.steps.begin() + static_cast<ptrdiff_t>(step));
  std::vector<int64_t> ends = cuts;
  ends.push_back(whole.q_len);
  int64_t from = 0;
  for (size_t n = 0; n < ends.size(); ++n) {
    StepOrigins part;
    for (int64_t b = 0; b < c.problem.batch; ++b)
      for (int64_t s = from; s < ends[n]; ++s)
        part.queries.push_back(origins.queries[static_cast<size_t>(b * whole.q_len + s)]);
    part.keys = part.queries;
    part.rows = origins.rows;
    part.state_of = n + 1 == ends.size() ? origins.state_of : -1;
    const auto at = static_cast<ptrdiff_t>(step + n);
    twin.c.steps.insert(twin.c.steps.begin() + at, part_of(whole, from, ends[n]));
    twin.steps.insert(twin.steps.begin() + at, std::move(part));
    from = ends[n];
  }
  return twin;
}

}  // namespace attnfuzz
