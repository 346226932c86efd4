#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

/// Triton and CUDA.
constexpr TextPattern kPatterns[] = {
    {"shared-memory", "out of resource: shared memory, Required: {need}, Hardware limit: {limit}",
     "The kernel's tiles need {need:n} bytes of shared memory, the device has {limit:n}: the tile "
     "or the number of pipeline stages is too large for this head size and dtype."},
    {"triton-shape",
     "Cannot make_shape_compatible: incompatible dimensions at index {dim}: {a} "
     "and {b}",
     "Two blocks are combined though their axis {dim:n} is {a} in one and {b} in the other.{hint}"},
    {"triton-power-of-two", "arange's range must be a power of 2",
     "A block size is taken from a size that is no power of two (an odd head_dim, say): round it "
     "up and mask the rest."},
    {"triton-dot", "Input shapes should have M >= {m}, N >= {n} and K >= {k}",
     "A tile of the product is smaller than the tensor cores take (M ≥ {m:n}, N ≥ {n:n}, K ≥ "
     "{k:n}): small sizes need padding."},
    {"illegal-access", "an illegal memory access was encountered",
     "The kernel reads or writes outside its tensors: a missing bound check on the last, partial "
     "tile, or an offset counted along the wrong axis."},
    {"launch-failure", "unspecified launch failure",
     "The kernel died on the device: most often a read or write outside shared or local memory. "
     "--sanitize memcheck tells where."},
    {"misaligned", "misaligned address",
     "A vector load at an address that is no multiple of its size: head_dim or a stride is odd for "
     "the dtype."},
    {"launch-configuration", "invalid configuration argument",
     "The launch has a grid or block of size 0, or one that is too large: an empty or very long "
     "axis reaches the grid's size."},
    {"device-assert", "device-side assert triggered",
     "An assertion in the kernel failed: most often an index outside its table."},
    {"out-of-memory", "out of memory. Tried to allocate",
     "An allocation failed: an intermediate (often the full q_len × kv_len score matrix, or an "
     "expanded mask) is made whole."},
    {"head-size", "head dimension at most {b}",
     "The kernel takes a head_dim of at most {b:n}: that limit is not part of what it declares."},
};

}  // namespace

const std::span<const TextPattern> gpu_patterns = kPatterns;

}  // namespace attnfuzz
