#pragma once
#include <string>
#include <vector>

#include "fuzz/judge.h"
#include "oracle/answer.h"
#include "targets/outcome.h"

namespace attnfuzz {

/// One output of a step, as the answer has it. Refers into the answer.
struct WantedOutput {
  Output output;
  DType dtype;
  const Shape* shape;
  const std::vector<double>* values;
  const std::vector<double>* bound;  ///< empty where the answer was asked without
  const RowSample* judged;           ///< the rows that these hold; nullptr: all
};
/// `out` first; none for a step that brings no tokens.
std::vector<WantedOutput> wanted_outputs(const Case& c, const StepAnswer& step);

/// What a target gave for it; nullptr if nothing.
const Tensor* given_output(const StepOutput& step, Output output);

/// Where the element that `wanted` holds at `at` lies in the whole output.
size_t element_offset(const Case& c, const WantedOutput& wanted, size_t at);

/// The elements of a given output of the wanted shape that `wanted` holds, in its order.
std::vector<double> judged_values(const Case& c, const WantedOutput& wanted, const Tensor& given);
/// |error| / bound of one element; +inf where one is finite and the other is not, 0 where anything
/// is right.
double error_ratio(double got, double want, double bound);

/// Logical coordinates of the element that `wanted` holds at `at`: those of WorstElement that it
/// has (dk, dv: h is the KV head and i the key; dbias: d is the key).
WorstElement element_place(const Case& c, const WantedOutput& wanted, size_t step, size_t at);

/// What a coordinate of an output counts: "query", "key", "KV head", "element". Empty where the
/// output has no such axis; the coordinate is 0 there.
std::string_view coordinate_name(Output output, int64_t WorstElement::*coordinate);

/// The query head that an element belongs to: of an output by KV heads, the first that reads it.
int64_t query_head(const Case& c, const WorstElement& element);

/// A given or wanted shape with the axes named in which it is right: "[batch=2, 4, 3,
/// head_dim_v=6]".
std::string named_shape(const Case& c, const WantedOutput& wanted, const Shape& shape);

/// The axes in which a given shape is wrong, in logical order: "out: h is 3, i is 0". Empty where
/// it has not as many axes.
std::string wrong_axes(const Case& c, const WantedOutput& wanted, const Shape& given);

/// "dk[b=0, h=1, j=3, d=2]".
std::string place_text(const WorstElement& element);

}  // namespace attnfuzz
