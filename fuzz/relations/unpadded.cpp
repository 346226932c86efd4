#include "fuzz/relations/padding.h"
#include "fuzz/relations/split.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

std::vector<Origin> real_tokens(int64_t step, int64_t b, int64_t first, int64_t count) {
  std::vector<Origin> tokens;
  for (int64_t s = 0; s < count; ++s) tokens.push_back({step, b, first + s});
  return tokens;
}

std::optional<Twin> of_plain(const Case& c, const RuleUse& padding, int64_t b) {
  const int64_t len = padding.list(1)[static_cast<size_t>(b)];
  if (len == 0) return {};
  Twin twin{c, {{}}, 1};
  Problem& p = twin.c.problem;
  p.batch = 1;
  p.q_len = p.kv_len = len;
  std::erase_if(p.mask.rules, [&](const RuleUse& use) { return use.spec == padding.spec; });
  twin.steps[0].queries = twin.steps[0].keys = real_tokens(0, b, first_real(c, padding, b), len);
  return twin;
}

/// Steps that bring the row nothing are left out.
std::optional<Twin> of_steps(const Case& c, int64_t b) {
  std::optional<Twin> alone = rows_of(c, {b});
  if (!alone) return {};
  Twin twin{alone->c, {}, 1};
  twin.c.steps.clear();
  for (size_t n = 0; n < c.steps.size(); ++n) {
    const Step& step = c.steps[n];
    const auto row = static_cast<size_t>(b);
    if (step.has_tokens() && step.real_tokens(row) == 0) continue;
    Step real = alone->c.steps[n];
    StepOrigins origins = alone->steps[n];
    if (step.has_tokens()) {
      real.q_len = step.real_tokens(row);
      real.lens.clear();
      real.side = Side::right;
      origins.queries = origins.keys =
          real_tokens(static_cast<int64_t>(n), b, step.first_real(row), real.q_len);
    }
    twin.c.steps.push_back(std::move(real));
    twin.steps.push_back(std::move(origins));
  }
  mend_prefills(twin.c);
  return twin;
}

std::optional<Twin> twin(const Case& c) {
  const int64_t b = chosen(c, 0, c.problem.batch - 1);
  if (const RuleUse* padding = movable_padding(c)) return of_plain(c, *padding, b);
  if (!has_plain_steps(c) || !uses(c, "ragged")) return {};
  return of_steps(c, b);
}

}  // namespace

const Relation unpadded = {
    .name = "unpadded",
    .words = "a padded row gives what it gives alone, without its padding",
    .cause =
        "Padding is taken for tokens: it is attended to, or it moves the positions, the cache's "
        "length or the state.",
    .twin = twin};

}  // namespace attnfuzz::relation
