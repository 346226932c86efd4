#include "fuzz/relations/padding.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

/// Keys first … first + count − 1 of each row stay; zeros take the place of the others.
void keep_keys(StepOrigins& step, int64_t batch, auto first, auto count) {
  const int64_t len = static_cast<int64_t>(step.keys.size()) / std::max<int64_t>(1, batch);
  for (int64_t n = 0; n < static_cast<int64_t>(step.keys.size()); ++n) {
    const int64_t b = n / len, j = n % len;
    if (j < first(b) || j >= first(b) + count(b)) step.keys[static_cast<size_t>(n)] = {};
  }
}

std::optional<Twin> twin(const Case& c) {
  const NonFinite held = c.data.nonfinite;
  if (held != NonFinite::nan_padding && held != NonFinite::inf_padding) return {};
  if (c.problem.fully_masked == FullyMasked::uniform) return {};  // a mean of padding as well
  Twin twin = same(c);
  twin.c.data.nonfinite = NonFinite::none;
  const int64_t batch = c.problem.batch;
  if (const RuleUse* padding = c.problem.mask.find("padding")) {
    keep_keys(
        twin.steps[0], batch, [&](int64_t b) { return first_real(c, *padding, b); },
        [&](int64_t b) { return padding->list(1)[static_cast<size_t>(b)]; });
    return twin;
  }
  if (!has_plain_steps(c) || !uses(c, "ragged")) return {};
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const Step& step = c.steps[s];
    if (!step.has_tokens()) continue;
    keep_keys(
        twin.steps[s], batch, [&](int64_t b) { return step.first_real(static_cast<size_t>(b)); },
        [&](int64_t b) { return step.real_tokens(static_cast<size_t>(b)); });
  }
  return twin;
}

}  // namespace

const Relation padding_content = {
    .name = "padding-content",
    .words = "zeros in padding give what NaN or infinities give there",
    .cause =
        "What padding holds comes through: a weight of 0 times NaN or inf is NaN, and so is such a "
        "score with -inf added.",
    .twin = twin};

}  // namespace attnfuzz::relation
