#include "fuzz/relations/padding.h"
#include "fuzz/relations/split.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

/// Moves the tokens of one row, `count` of them, from one place to another.
void move(std::vector<Origin>& tokens, Origin from, int64_t to, int64_t count, int64_t len) {
  const auto row = static_cast<size_t>(from.b * len);
  for (int64_t s = 0; s < len; ++s) tokens[row + static_cast<size_t>(s)] = Origin{};
  for (int64_t n = 0; n < count; ++n)
    tokens[row + static_cast<size_t>(to + n)] = {from.step, from.b, from.s + n};
}

std::optional<Twin> of_plain(const Case& c, const RuleUse& padding) {
  Twin twin = same(c);
  const auto at = static_cast<size_t>(&padding - c.problem.mask.rules.data());
  RuleUse& other = twin.c.problem.mask.rules[at];
  other.values[0] = 1 - padding.integer(0);
  for (int64_t b = 0; b < c.problem.batch; ++b) {
    const int64_t count = padding.list(1)[static_cast<size_t>(b)];
    for (std::vector<Origin>* each : {&twin.steps[0].queries, &twin.steps[0].keys})
      move(*each, {0, b, first_real(c, padding, b)}, first_real(twin.c, other, b), count,
           c.problem.kv_len);
  }
  return twin;
}

std::optional<Twin> of_steps(const Case& c) {
  Twin twin = same(c);
  for (size_t n = 0; n < c.steps.size(); ++n) {
    const Step& step = c.steps[n];
    if (step.lens.empty()) continue;
    Step& other = twin.c.steps[n];
    other.side = step.side == Side::left ? Side::right : Side::left;
    StepOrigins& origins = twin.steps[n];
    for (int64_t b = 0; b < c.problem.batch; ++b) {
      const auto row = static_cast<size_t>(b);
      move(origins.queries, {static_cast<int64_t>(n), b, step.first_real(row)},
           other.first_real(row), step.real_tokens(row), step.q_len);
    }
    origins.keys = origins.queries;
  }
  return twin;
}

std::optional<Twin> twin(const Case& c) {
  if (const RuleUse* padding = movable_padding(c)) return of_plain(c, *padding);
  if (!has_plain_steps(c) || !uses(c, "ragged")) return {};
  return of_steps(c);
}

}  // namespace

const Relation pad_side = {
    .name = "pad-side",
    .words = "rows padded on the left give what they give padded on the right",
    .cause =
        "One side of padding is not handled: positions counted from the slot and not from the "
        "first token, or a mask that hides the wrong end.",
    .twin = twin};

}  // namespace attnfuzz::relation
