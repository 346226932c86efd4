#include "fuzz/relations/table.h"

namespace attnfuzz::relation {

const Relation repeat = {
    .name = "repeat",
    .words = "the same case gives the same bits again",
    .cause =
        "The same call on the same input gives other bits: memory that is read before it is "
        "written, a race, or state that is left over from the call before.",
    .twin = [](const Case& c) -> std::optional<Twin> { return same(c); },
    .same_bits = true};

}  // namespace attnfuzz::relation
