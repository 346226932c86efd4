#include <numeric>

#include "fuzz/relations/split.h"
#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

constexpr int64_t most_tokens = 64;  // each becomes a step

std::optional<Twin> twin(const Case& c) {
  const std::optional<size_t> step = step_to_split(c);
  if (!step || c.steps[*step].q_len > most_tokens) return {};
  std::vector<int64_t> cuts(static_cast<size_t>(c.steps[*step].q_len - 1));
  std::iota(cuts.begin(), cuts.end(), 1);
  return split(c, *step, cuts);
}

}  // namespace

const Relation one_by_one = {
    .name = "one-by-one",
    .words = "tokens that come one by one give what they give in one step",
    .cause =
        "Decoding one token goes another way than a step of many, and one of the two is wrong: "
        "another kernel, the single query's position, or the cache's write offset.",
    .twin = twin};

}  // namespace attnfuzz::relation
