// Views of larger tensors, with their mutants.
#include "targets/zoo/strided.h"

#include "targets/strided.h"
#include "targets/zoo/zoo.h"

namespace attnfuzz::zoo {
namespace {

StridedShape of_contiguous(const Problem& p, std::string_view input) {
  Problem as = p;
  as.strides = Strides::dense;
  return strided_shape(as, input);
}

StridedShape contiguous(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  shape.strides = of_contiguous(p, input).strides;
  return shape;
}

StridedShape from_the_start(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  shape.base = 0;
  return shape;
}

StridedShape last_axis_of_one(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  shape.strides[3] = 1;
  return shape;
}

StridedShape rows_behind_rows(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  shape.strides[0] = of_contiguous(p, input).strides[0];
  return shape;
}

StridedShape values_as_keys(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  if (input == "v") shape.strides = strided_shape(p, "k").strides;
  return shape;
}

struct Way {
  Line line;
  TakenShape as;
};
constexpr Way ways[] = {{"strides-ignored"_line, contiguous},
                        {"strides-base-ignored"_line, from_the_start},
                        {"strides-last-axis"_line, last_axis_of_one},
                        {"strides-batch-ignored"_line, rows_behind_rows},
                        {"strides-values-as-keys"_line, values_as_keys}};

constexpr Mutant table[] = {
    {"strides-ignored", "the strides are worked out from the sizes", Kernel::strided,
     "strides-ignored"},
    {"strides-base-ignored", "the storage's pointer is taken, not the tensor's", Kernel::strided,
     "strides-base-ignored"},
    {"strides-last-axis", "the last axis is taken to have stride 1", Kernel::strided,
     "strides-last-axis"},
    {"strides-batch-ignored", "the batch stride is worked out from the sizes", Kernel::strided,
     "strides-batch-ignored"},
    {"strides-values-as-keys", "k.stride() is passed for v", Kernel::strided,
     "strides-values-as-keys"},
};

}  // namespace

Inputs as_read(const Mutation& m, const Case& c, const Inputs& inputs) {
  if (c.problem.strides == Strides::dense || c.cached()) return inputs;
  for (const Way& way : ways)
    if (m.is(way.line)) return read_as(c.problem, inputs, way.as);
  return read_as(c.problem, inputs, strided_shape);
}

std::span<const Mutant> strided_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
