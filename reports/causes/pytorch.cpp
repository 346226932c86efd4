#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

constexpr TextPattern kPatterns[] = {
    {"broadcast",
     "size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton "
     "dimension {dim}",
     "Two tensors are combined elementwise though axis {dim:n} is {a} in the first and {b} in the "
     "second: tensor a ({a}) must match tensor b ({b}).{hint}"},
    {"concatenation",
     "Sizes of tensors must match except in dimension {dim}. Expected size {a} but "
     "got size {b} for tensor number {n} in the list",
     "Tensors are joined along axis {dim:n} though another axis is {a} in the first and {b} in "
     "tensor {n:n}.{hint}"},
    {"concatenation",
     "Sizes of tensors must match except in dimension {n}. Got {a} and {b} (The offending index is "
     "{dim})",
     "Tensors are joined though another axis, {dim:n}, is {a} in one and {b} in the other.{hint}"},
    {"concatenation", "Sizes of tensors must match except in dimension {dim}. Got {a} and {b}",
     "Tensors are joined along axis {dim:n} though another axis is {a} in one and {b} in the "
     "other.{hint}"},
    {"expand",
     "expanded size of the tensor ({a}) must match the existing size ({b}) at "
     "non-singleton dimension {dim}*Target sizes: {target:s}*Tensor sizes: {tensor:s}",
     "A tensor that has {b} on axis {dim:n} is to be expanded to {a}: its shape is ({tensor}), the "
     "shape wanted is ({target}).{hint}"},
    {"expand",
     "expanded size of the tensor ({a}) must match the existing size ({b}) at "
     "non-singleton dimension {dim}",
     "A tensor that has {b} on axis {dim:n} is to be expanded to {a}.{hint}"},
    {"mask-shape", "Attention mask should be of size {want:s}, but is torch.Size({got:s}",
     "The mask has the shape ({got}), the call wants ({want})."},
    {"weights-shape", "Attention weights should be of size {want:s}, but is torch.Size({got:s}",
     "The scores have the shape ({got}) where the call counts on ({want}): the number of keys was "
     "counted in another way (cached tokens twice, or not at all)."},
    {"mask-shape", "shape of the 2D attn_mask is torch.Size({got:s}), but should be {want:s}",
     "The mask has the shape ({got}), the call wants ({want}): [len, batch, hidden] and [batch, "
     "len, "
     "hidden] are mixed up where the numbers are of two kinds."},
    {"block-mask",
     "block_mask was created for block_mask.shape={mask:s} but got q_len={a} and "
     "kv_len={b}",
     "The block mask was made for the shape ({mask}), but the call has {a} queries and {b} keys: "
     "the mask's last axis must be the number of keys that are there, not the chunk, the window or "
     "the cache's capacity."},
    {"block-mask", "block_mask was created for*{mask:s}*q_len={a} and kv_len={b}",
     "The block mask was made for the shape ({mask}), but the call has {a} queries and {b} keys: "
     "the mask's last axis must be the number of keys that are there, not the chunk, the window or "
     "the cache's capacity."},
    {"unbounded-cache", "pad(): argument 'pad'*NoneType",
     "A length is None where pad() needs a number: a cache that grows without a limit has no "
     "capacity (its maximum shape is None), and the padding up to it was computed all the same. "
     "Take the keys that are there instead of the capacity."},
    {"unbounded-cache", "unsupported operand type(s)*NoneType",
     "A size is None in the arithmetic: an unbounded cache (or an option that is switched off) "
     "has no number where one is needed."},
    {"expand",
     "expand(*[{tensor:s}*size=[{target:s}*the number of sizes provided ({n}) must be greater or "
     "equal",
     "A tensor of shape ({tensor}) is to be expanded to ({target}), which has fewer axes: an axis "
     "(mostly the heads') is left out."},
    {"stack",
     "stack expects each tensor to be equal size, but got {one:s} at entry {i} and {two:s} at "
     "entry "
     "{j}",
     "Tensors of shape ({one}) and ({two}) are stacked, {mismatch}.{hint}"},
    {"einsum",
     "einsum(): subscript * has size {b} for operand {n} which does not broadcast with previously "
     "seen size {a}",
     "An einsum index stands for {a} in one operand and for {b} in operand {n:n}.{hint}"},
    {"index-copy", "Number of indices ({a}) should be equal to source.size(dim) ({b})",
     "{a:n} positions are given for {b:n} tokens that are to be written there.{hint}"},
    {"index-shape",
     "Size does not match at dimension {dim} expected index {one:s} to be no larger than self "
     "{two:s} apart from dimension {except}",
     "An index of shape ({one}) is used on a tensor of shape ({two}), {mismatch}.{hint}"},
    {"index-shape",
     "Expected index {one:s} to be no larger than self {two:s} apart from dimension {except}",
     "An index of shape ({one}) is used on a tensor of shape ({two}), {mismatch}.{hint}"},
    {"padding-mask-shape", "Expected key_padded_mask.shape[0] to be {b}, but got {a}",
     "The padding mask has {a} rows, the call {b}: it must be [batch, kv_len], whatever the order "
     "of the other inputs' axes.{hint}"},
    {"padding-mask-shape", "Expected key_padded_mask.shape[1] to be {b}, but got {a}",
     "The padding mask has {a} keys, the call {b}.{hint}"},
    {"matmul-shapes", "mat1 and mat2 shapes cannot be multiplied ({m1}x{a} and {b}x{m2})",
     "A projection gets {a} features for each token, its weight wants {b}.{hint}"},
    {"batch-matmul",
     "Expected size for first two dimensions of batch2 tensor to be: [{a}, {c}] but "
     "got: [{b}, {d}]",
     "A batched product (q·k or p·v) wants [{a}, {c}] in its second operand and gets [{b}, "
     "{d}].{hint}"},
    {"dtype-mix", "mat1 and mat2 must have the same dtype",
     "The operands of a product have two dtypes: one of them (often the cache, the mask or the "
     "weights) keeps a default dtype instead of the queries'."},
    {"dtype-mix", "expected m1 and m2 to have the same dtype",
     "The operands of a product have two dtypes: one of them (often the cache, the mask or the "
     "weights) keeps a default dtype instead of the queries'."},
    {"dtype-mix", "expected scalar type * but found",
     "The operands have two dtypes: one of them (often the cache, the mask or the weights) keeps a "
     "default dtype instead of the queries'."},
    {"dtype-mix", "Expected query, key, and value to have the same dtype",
     "Query, key and value have different dtypes: the cache or a projection keeps a default dtype "
     "instead of the queries'."},
    {"bias-dtype", "Expected attn_mask dtype to be bool or",
     "The mask has another dtype than bool or the queries'."},
    {"reshape", "shape '[{shape:s}' is invalid for input of size {n}",
     "A tensor of {n} elements is viewed as ({shape}): one axis of that view has the size of "
     "another axis, or the tensor was made for another number of heads or tokens."},
    {"view-layout", "view size is not compatible with input tensor's size and stride",
     "view() is called on a tensor whose memory order does not allow it (after a transpose of "
     "heads and length): reshape() or contiguous() is needed."},
    {"index-range", "index {a} is out of bounds for dimension {dim} with size {b}",
     "Index {a} is asked of axis {dim:n}, which has the size {b}.{hint}"},
    {"gather-range", "srcIndex < srcSelectDimSize",
     "A token, position or page number is larger than the table it is looked up in (an embedding, "
     "a rotary table): on the device that is an assertion."},
    {"gather-range", "index out of range in self",
     "A position or page number is larger than the table it is looked up in."},
    {"narrow", "start ({a}) + length ({n}) exceeds dimension size ({b})",
     "A slice of {n} from {a} is taken of an axis of {b}: the offset or the length is counted "
     "along "
     "another axis.{hint}"},
    {"gqa-heads", "Number of heads in key and value must divide the number of heads in query",
     "num_heads is no multiple of num_kv_heads for the call: the heads were read off another axis, "
     "or keys were repeated twice."},
    {"no-kernel", "No available kernel. Aborting execution",
     "No fused kernel takes these sizes, this dtype or this mask, and falling back was not "
     "allowed."},
    {"zero-size", "reduction dim*operation*should have been*numel() == 0",
     "A reduction runs over an empty axis: a size of 0 is not handled."},
};

}  // namespace

const std::span<const TextPattern> pytorch_patterns = kPatterns;

}  // namespace attnfuzz
