#include "fuzz/relations/table.h"

namespace attnfuzz::relation {

const Relation infinite_bias = {
    .name = "infinite-bias",
    .words = "a bias of -inf gives what the type's lowest number gives",
    .cause =
        "A bias of -inf is not taken for a very low one: exp(-inf + inf), where all scores of a "
        "tile are -inf, is NaN, and so is 0 times -inf.",
    .twin = [](const Case& c) -> std::optional<Twin> {
      if (c.data.nonfinite != NonFinite::inf_bias) return {};
      Twin twin = same(c);
      twin.finite_bias = true;
      return twin;
    }};

}  // namespace attnfuzz::relation
