#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

constexpr int64_t right = 1;

/// Padding hides every key of one row.
std::optional<Twin> twin(const Case& c) {
  const Problem& p = c.problem;
  if (c.cached() || p.recurrent() || p.batch < 2 || p.kv_len == 0 || p.memory_kv > 0) return {};
  Twin twin = same(c);
  std::vector<RuleUse>& rules = twin.c.problem.mask.rules;
  if (p.mask.find("padding") == nullptr)
    rules.push_back({find_rule("padding"),
                     {right, std::vector<int64_t>(static_cast<size_t>(p.batch), p.kv_len)}});
  const auto masked = static_cast<size_t>(chosen(c, 0, p.batch - 1));
  for (RuleUse& use : rules)
    if (use.spec->name == "padding") std::get<std::vector<int64_t>>(use.values[1])[masked] = 0;
  if (twin.c == c) return {};
  std::vector<Origin>& queries = twin.steps[0].queries;
  for (Origin& query : queries)
    if (query.b == static_cast<int64_t>(masked)) query = {};
  return twin;
}

}  // namespace

const Relation masked_row = {
    .name = "masked-row",
    .words = "a row that sees no key at all leaves the others as they are",
    .cause =
        "A row that sees no key reaches its neighbours: a maximum of -inf, a sum of 0 or NaN that "
        "rows share (in a tile, a flag for the whole batch), or an index that skips the row.",
    .twin = twin};

}  // namespace attnfuzz::relation
