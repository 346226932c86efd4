// How q, k and v lie within their memory.
#include "fuzz/faults/rewrite.h"
#include "targets/strided.h"

namespace attnfuzz::fault {
namespace {

/// Where the tensors do not lie as a contiguous one does.
Rewritten strided(const Case& c) {
  return c.problem.strides == Strides::dense ? std::nullopt : Rewritten(c);
}

StridedShape dense(const Problem& p, std::string_view input) {
  Problem as = p;
  as.strides = Strides::dense;
  return strided_shape(as, input);
}

/// The strides of a contiguous tensor, from where the tensor begins.
StridedShape contiguous(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  shape.strides = dense(p, input).strides;
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
  shape.strides[0] = dense(p, input).strides[0];
  return shape;
}

StridedShape values_as_keys(const Problem& p, std::string_view input) {
  StridedShape shape = strided_shape(p, input);
  if (input == "v") shape.strides = strided_shape(p, "k").strides;
  return shape;
}

template <TakenShape as>
Inputs read(const Case& c, Inputs inputs) {
  return read_as(c.problem, inputs, as);
}

constexpr Fault table[] = {
    {"strides-base-ignored", "q, k and v are taken to begin where their memory does", strided,
     Fault::Of::softmax, read<from_the_start>},
    {"strides-last-axis", "the elements of a head are taken to lie side by side", strided,
     Fault::Of::softmax, read<last_axis_of_one>},
    {"strides-batch-ignored", "batch rows are taken to lie right behind one another", strided,
     Fault::Of::softmax, read<rows_behind_rows>},
    {"strides-values-as-keys", "values are read with the strides of the keys", strided,
     Fault::Of::softmax, read<values_as_keys>},
    {"strides-ignored", "q, k and v are read as if they were contiguous", strided,
     Fault::Of::softmax, read<contiguous>},
};

}  // namespace

std::span<const Fault> strides() {
  return table;
}

}  // namespace attnfuzz::fault
