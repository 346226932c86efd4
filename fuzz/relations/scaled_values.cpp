#include "fuzz/relations/table.h"

namespace attnfuzz::relation {

const Relation scaled_values = {
    .name = "scaled-values",
    .words = "values twice as large give an output twice as large",
    .cause =
        "The output is not linear in the values: something else than the weights depends on "
        "them, or something is added to the sum (a normaliser, an epsilon, memory that was not "
        "cleared).",
    .twin = [](const Case& c) -> std::optional<Twin> {
      Twin twin = same(c);
      twin.factor = 2;
      return twin;
    }};

}  // namespace attnfuzz::relation
