#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

constexpr TextPattern kPatterns[] = {
    {"input-rank", "Invalid rank for input: * Got: {a} Expected: {b}",
     "An input has {a:n} axes where {b:n} are expected."},
    {"input-shape", "Got invalid dimensions for input: * index: {dim} Got: {a} Expected: {b}",
     "Axis {dim:n} of an input is {a} where the model was made for {b}.{hint}"},
    {"broadcast", "Attempting to broadcast an axis by a dimension other than 1. {a} by {b}",
     "Two tensors are combined elementwise though an axis is {a} in one and {b} in the other."
     "{hint}"},
    {"mask-shape", "attention_mask*shape*({shape:s}*expected*({want:s}",
     "The mask has the shape ({shape}) where ({want}) is expected."},
    {"bias-shape", "attention_bias*expected*dim*{b}*got {a}",
     "An axis of the attention bias is {a} where {b} is expected.{hint}"},
    {"head-count", "num_heads*{a}*multiple of*kv_num_heads*{b}",
     "num_heads ({a}) is no multiple of num_kv_heads ({b}).{hint}"},
    {"input-expected", "Input '* is expected to have {b} dimensions, got {a}",
     "An input has {a:n} axes where {b:n} are expected: packed [batch, len, hidden] and unpacked "
     "[batch, heads, len, dim] inputs were mixed."},
    {"input-expected", "Input '* dimension {dim} should be * {b}, got {a}",
     "Axis {dim:n} of an input is {a} where {b} is expected.{hint}"},
    {"input-expected", "Input '* shall have*dim*{dim}*same*",
     "Two inputs have different sizes on axis {dim:n} though they must agree."},
    {"broadcast", "operand cannot broadcast on dim {dim} LeftShape: {one:s}, RightShape: {two:s}",
     "Tensors of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"matmul-shapes", "matmul dimension mismatch*{a}*{b}",
     "The inner axes of a product are {a} and {b}.{hint}"},
    {"reshape",
     "The input tensor cannot be reshaped to the requested shape. Input shape:{from:s}, "
     "requested shape:{to:s}",
     "A tensor of shape ({from}) is reshaped to ({to}): the numbers of elements differ."},
    {"not-implemented", "Could not find an implementation for",
     "This version has no kernel for the operator with these types."},
};

}  // namespace

const std::span<const TextPattern> onnxruntime_patterns = kPatterns;

}  // namespace attnfuzz
