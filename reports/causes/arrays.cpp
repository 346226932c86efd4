#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

/// NumPy and JAX.
constexpr TextPattern kPatterns[] = {
    {"broadcast", "operands could not be broadcast together with shapes {one:s} {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise: counted from the right, some "
     "axis differs and neither is 1.",
     "one@shape two@shape"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s} and {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise: counted from the right, some "
     "axis differs and neither is 1.",
     "one@shape two@shape"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise: counted from the right, some "
     "axis differs and neither is 1.",
     "one@shape two@shape"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s} and requested shape {two:s}",
     "An array of shape ({one}) is to be broadcast to ({two}): counted from the right, some axis "
     "differs and is not 1.",
     "two@shape one@shape"},
    {"broadcast", "got incompatible shapes for broadcasting: {one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise: counted from the right, some "
     "axis differs and neither is 1.",
     "one@shape two@shape"},
    {"broadcast", "Incompatible shapes for broadcasting: shapes=[{one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise: counted from the right, some "
     "axis differs and neither is 1.",
     "one@shape two@shape"},
    {"bias-length", "Bias must have same seq length as QKV, got {a} and {b}",
     "The bias (or the mask that became one) has {a} where the call has {b}: it must be given for "
     "every query and key, not broadcast.",
     "a=q_len b=q_len"},
    {"matmul-shapes",
     "matmul: Input operand {n} has a mismatch in its core dimension {dim}*size "
     "{a} is different from {b}",
     "The inner axes of a product are {a} and {b}.{hint}"},
    {"matmul-shapes",
     "dot_general requires contracting dimensions to have the same shape, got "
     "{one:s} and {two:s}",
     "The inner axes of a product differ: ({one}) and ({two})."},
    {"concatenation",
     "all the input array dimensions except for the concatenation axis must match "
     "exactly, but along dimension {dim}, the array at index {i} has size {a} and "
     "the array at index {j} has size {b}",
     "Arrays are joined though their axis {dim:n} is {a} in one and {b} in the other.{hint}"},
    {"concatenation",
     "Cannot concatenate arrays with shapes that differ in dimensions other than "
     "the one being concatenated*{one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are joined: an axis other than the joined one differs."},
    {"reshape", "cannot reshape array of size {n} into shape {shape:s}",
     "An array of {n} elements is reshaped to ({shape}): one axis has the size of another, or the "
     "array was made for another number of heads or tokens."},
    {"reshape", "cannot reshape array of shape {from:s}*into shape {to:s}",
     "An array of shape ({from}) is reshaped to ({to}): the numbers of elements differ."},
    {"index-range", "index {a} is out of bounds for axis {dim} with size {b}",
     "Index {a} is asked of axis {dim:n}, which has the size {b}.{hint}"},
    {"einsum", "operand {n} does not broadcast with*indices*{a}*{b}",
     "An einsum index stands for {a} in one operand and {b} in another.{hint}"},
};

}  // namespace

const std::span<const TextPattern> array_patterns = kPatterns;

}  // namespace attnfuzz
