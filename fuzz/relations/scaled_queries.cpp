#include "fuzz/relations/table.h"

namespace attnfuzz::relation {

const Relation scaled_queries = {
    .name = "scaled-queries",
    .words = "queries a sixteenth as large with a scale 16 times as large give the same output",
    .cause =
        "The products q·k leave the range of the type that they are kept in before the scale is "
        "applied (f16: beyond 65504), or the scale is not applied.",
    .twin = [](const Case& c) -> std::optional<Twin> {
      constexpr double factor = 1.0 / 16;
      if (c.data.dist != Distribution::huge || c.problem.recurrent()) return {};
      if (!multiplies_exactly(c, "q", factor)) return {};  // subnormal numbers, as in e4m3
      Twin twin = same(c);
      twin.q_factor = factor;
      twin.c.problem.scale = c.problem.scale_value() * 16;
      return twin;
    }};

}  // namespace attnfuzz::relation
