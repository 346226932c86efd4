// The laws that scale rope, with their mutants.
#include "targets/zoo/rope.h"

#include "targets/cpu/rotary.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"rope-scaling-ignored", "rope_scaling is not passed on", Kernel::sparse,
     "rope-scaling-ignored"},
    {"rope-magnitude-ignored", "mscale is not passed on", Kernel::sparse, "rope-magnitude-ignored"},
    {"rope-magnitude-twice", "mscale is in the tables and in the scale", Kernel::sparse,
     "rope-magnitude-twice"},
    {"rope-all-slowed", "each position is divided by the factor", Kernel::sparse,
     "rope-all-slowed"},
    {"rope-always-raised", "the base is that of the longest context", Kernel::sparse,
     "rope-always-raised"},
    {"rope-positions-ignored", "position_ids are not passed on", Kernel::sparse,
     "rope-positions-ignored"},
    {"rope-other-ends", "the ramp's ends are not rounded", Kernel::sparse, "rope-other-ends"},
};

}  // namespace

bool has_rope(Kernel kernel) {
  return kernel == Kernel::sparse;
}

Inputs rotated(const Mutation& m, Case c, const Inputs& inputs) {
  if (c.problem.rope == Rope::none) return inputs;
  RopeScaling& scaling = c.problem.rope_scaling;
  if (m.is("rope-scaling-ignored"_line)) scaling = {};
  if (m.is("rope-magnitude-ignored"_line)) scaling.magnitude = 1;
  if (m.is("rope-magnitude-twice"_line)) scaling.magnitude *= scaling.magnitude;
  if (m.is("rope-all-slowed"_line) && scaling.has_ramp()) scaling.law = RopeLaw::linear;
  if (m.is("rope-always-raised"_line) && scaling.law == RopeLaw::dynamic_ntk)
    scaling.law = RopeLaw::ntk;
  if (m.is("rope-other-ends"_line)) scaling.truncate = false;
  if (m.is("rope-positions-ignored"_line)) c.problem.rope_positions.clear();
  return turned_inputs(c, inputs);
}

std::span<const Mutant> rope_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
