#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

constexpr double lift = 1024;  ///< from the subnormal numbers of any type to its normal ones

}  // namespace

const Relation lifted_values = {
    .name = "lifted-values",
    .words = "subnormal values 1024 times as large give an output 1024 times as large",
    .cause =
        "Subnormal numbers are flushed to zero: the values, their products or the output, by the "
        "processor's mode (FTZ, DAZ) or a fast-math flag.",
    .twin = [](const Case& c) -> std::optional<Twin> {
      if (c.data.dist != Distribution::tiny) return {};
      Twin twin = same(c);
      twin.factor = lift;
      return twin;
    }};

}  // namespace attnfuzz::relation
