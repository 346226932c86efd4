#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

/// NumPy and JAX.
constexpr TextPattern kPatterns[] = {
    {"broadcast", "operands could not be broadcast together with shapes {one:s} {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s} and {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"broadcast", "Incompatible shapes for broadcasting: {one:s} and requested shape {two:s}",
     "An array of shape ({one}) is to be broadcast to ({two}), {mismatch}.{hint}"},
    {"broadcast", "remapped shapes [original->remapped]: {one:s} and requested shape {two:s}",
     "An array of shape ({one}) is to be broadcast to ({two}), {mismatch}.{hint}"},
    {"einsum", "remapped shapes [original->remapped]: {one:s}->* {two:s}->",
     "An einsum's operands have the shapes ({one}) and ({two}): an index stands for other sizes in "
     "them."},
    {"assignment", "could not broadcast input array from shape {one:s} into shape {two:s}",
     "An array of shape ({one}) is written to a place of shape ({two}), {mismatch}.{hint}"},
    {"broadcast", "got incompatible shapes for broadcasting: {one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"broadcast", "Incompatible shapes for broadcasting: shapes=[{one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are combined elementwise, {mismatch}.{hint}"},
    {"bias-length", "Bias must have same seq length as QKV, got {a} and {b}",
     "The bias (or the mask that became one) has {a} where the call has {b}: it must be given for "
     "every query and key, not broadcast."},
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
     "the one being concatenated*along dimension {except} for shapes {one:s}, {two:s}",
     "Arrays of shape ({one}) and ({two}) are joined along axis {except:n}, {mismatch}.{hint}"},
    {"reshape", "cannot reshape array of size {n} into shape {shape:s}",
     "An array of {n} elements is reshaped to ({shape}): one axis has the size of another, or the "
     "array was made for another number of heads or tokens."},
    {"reshape", "cannot reshape array of shape {from:s}*into shape {to:s}",
     "An array of shape ({from}) is reshaped to ({to}): the numbers of elements differ."},
    {"index-range", "index {a} is out of bounds for axis {dim} with size {b}",
     "Index {a} is asked of axis {dim:n}, which has the size {b}.{hint}"},
    {"einsum", "Size of label '*' for operand {n} ({b}) does not match previous terms ({a})",
     "An einsum index stands for {a} in one operand and for {b} in operand {n:n}.{hint}"},
};

}  // namespace

const std::span<const TextPattern> array_patterns = kPatterns;

}  // namespace attnfuzz
