// The laws that scale rope for long contexts, and positions that are given.
#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

/// The case with another scaling; none where it has the same.
Rewritten scaled(Case c, const RopeScaling& scaling) {
  return with(std::move(c), &Problem::rope_scaling, scaling);
}

Rewritten by_law(const Case& c, RopeLaw law) {
  RopeScaling scaling = c.problem.rope_scaling;
  scaling.law = law;
  return scaled(c, scaling);
}

Rewritten magnitude_ignored(const Case& c) {
  RopeScaling scaling = c.problem.rope_scaling;
  scaling.magnitude = 1;
  return scaled(c, scaling);
}

/// Scores take it once for q and once for k.
Rewritten magnitude_twice(const Case& c) {
  RopeScaling scaling = c.problem.rope_scaling;
  scaling.magnitude *= scaling.magnitude;
  return scaled(c, scaling);
}

Rewritten all_slowed(const Case& c) {
  return c.problem.rope_scaling.has_ramp() ? by_law(c, RopeLaw::linear) : std::nullopt;
}

Rewritten none_slowed(const Case& c) {
  RopeScaling scaling = c.problem.rope_scaling;
  if (!scaling.has_ramp()) return {};
  scaling.factor = 1;
  return scaled(c, scaling);
}

Rewritten always_raised(const Case& c) {
  return c.problem.rope_scaling.law == RopeLaw::dynamic_ntk ? by_law(c, RopeLaw::ntk)
                                                            : std::nullopt;
}

Rewritten other_ends(const Case& c) {
  RopeScaling scaling = c.problem.rope_scaling;
  if (scaling.law != RopeLaw::yarn) return {};
  scaling.truncate = !scaling.truncate;
  return scaled(c, scaling);
}

Rewritten of_keys_alone(const Case& c) {
  return c.problem.rope_positions.empty() ? std::nullopt : Rewritten(c);
}
Plan queries_by_place(const Case& c) {
  Plan plan = lower(c);
  for (RowPlan& row : plan.steps.front().rows)
    for (QueryRun& run : row.queries) run.angle = run.position;
  return plan;
}

constexpr Fault table[] = {
    {"rope-magnitude-ignored", "rotated q and k are not multiplied by rope's magnitude",
     magnitude_ignored},
    {"rope-magnitude-twice", "rotated q and k are multiplied by the square of rope's magnitude",
     magnitude_twice},
    {"rope-all-slowed", "rope's factor slows all pairs, not those that rotate slowly alone",
     all_slowed},
    {"rope-none-slowed", "rope's factor slows no pair, but its magnitude is applied", none_slowed},
    {"rope-always-raised", "rope's base is raised by the factor, however few the keys are",
     always_raised},
    {"rope-other-ends",
     "the ends of rope's ramp are rounded to whole pairs where they are to be exact, or the other "
     "way round",
     other_ends},
    {"rope-positions-ignored", "rope goes by the places of the tokens, not by the given positions",
     [](const Case& c) { return with(c, &Problem::rope_positions, std::vector<int64_t>()); }},
    {"rope-positions-of-keys", "queries are rotated by their places, not by the given positions",
     of_keys_alone, Fault::Of::softmax, nullptr, queries_by_place},
    {"rope-scaling-ignored", "rope is not scaled",
     [](const Case& c) { return scaled(c, RopeScaling()); }},
};

}  // namespace

std::span<const Fault> rope_scaling() {
  return table;
}

}  // namespace attnfuzz::fault
