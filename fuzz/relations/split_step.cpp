#include <algorithm>

#include "fuzz/relations/split.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

std::optional<Twin> twin(const Case& c) {
  const std::optional<size_t> step = step_to_split(c);
  if (!step) return {};
  return split(c, *step, {chosen(c, 1, c.steps[*step].q_len - 1)});
}

}  // namespace

const Relation split_step = {
    .name = "split-step",
    .words =
        "a step's tokens give in two steps what they give in one: prefill(a + b) is "
        "prefill(a), append(b)",
    .cause =
        "What a step leaves behind is not what the next one takes up: the cache's write "
        "offset, the positions, the mask's offset between queries and keys, or the state.",
    .twin = twin};

}  // namespace attnfuzz::relation
