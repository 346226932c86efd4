#include <algorithm>

#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

std::optional<Twin> twin(const Case& c) {
  const Problem& p = c.problem;
  if (c.cached() || !p.mask.rules.empty() || p.kv_len < 2 || uses(c, "rope")) return {};
  Twin twin = same(c);
  std::vector<Origin>& keys = twin.steps[0].keys;
  for (auto row = keys.begin(); row != keys.end(); row += p.kv_len)
    std::reverse(row, row + p.kv_len);
  return twin;
}

}  // namespace

const Relation permuted_keys = {
    .name = "permuted-keys",
    .words = "without a mask the order of the keys makes no difference",
    .cause =
        "The order of the keys matters where no mask asks for it: a mask that nobody asked for, "
        "a tile at the end that is cut off or read twice, or keys and values out of step.",
    .twin = twin};

}  // namespace attnfuzz::relation
