#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

/// What compute-sanitizer's tools say (memcheck, racecheck, initcheck, synccheck), and the emulator
/// of targets/cuda/ in the same words.
constexpr TextPattern kPatterns[] = {
    {"shared-race", "Race reported between",
     "Threads of a block use the same shared memory with no barrier between them: a "
     "__syncthreads() "
     "is missing after a tile is loaded, or before the next one takes its place."},
    {"shared-out-of-bounds", "Invalid __shared__ read",
     "The kernel reads beyond an array in shared memory: a tile is read with another stride or "
     "height than it was stored with."},
    {"shared-out-of-bounds", "Invalid __shared__ write",
     "The kernel writes beyond an array in shared memory: the launch asks for less than the tiles "
     "take, or a tile is written with a stride that is too large."},
    {"offset-wrapped", "Invalid __global__ read: before the start",
     "An offset into a tensor is negative: it was computed in 32 bits, and went past 2^31 "
     "elements. "
     "Strides and products of indices need 64 bits."},
    {"offset-wrapped", "Invalid __global__ write: before the start",
     "An offset into a tensor is negative: it was computed in 32 bits, and went past 2^31 "
     "elements. "
     "Strides and products of indices need 64 bits."},
    {"offset-wrapped", "bytes before the nearest allocation",
     "The address lies before the tensor: an offset is negative. Computed in 32 bits it wraps "
     "around past 2^31 elements."},
    {"global-out-of-bounds", "Invalid __global__ read",
     "The kernel reads outside a tensor: the last, partial tile is loaded without a guard, or a "
     "stride is another axis's."},
    {"global-out-of-bounds", "Invalid __global__ write",
     "The kernel writes outside a tensor: the last, partial tile is stored without a guard, or a "
     "stride is another axis's."},
    {"read-before-written", "Uninitialized __global__ memory read",
     "A block reads device memory that nothing has written yet. Blocks run in any order: what one "
     "leaves for another needs a counter of those that have ended, or a launch of its own."},
    {"divergent-barrier", "Barrier error detected",
     "Some threads of a block wait at a barrier that others never reach: it stands in a branch or "
     "a loop that they do not all take."},
    {"read-beyond-input", "was read past its end",
     "The target reads behind an input: the last, partial tile is loaded without a guard, a loop "
     "runs one index too far, or a stride is another axis's. What is read need not be used."},
    {"read-beyond-input", "was read before its start",
     "The target reads before an input: an index is negative (a window or an offset that begins "
     "before key 0), or a pointer is set back too far. What is read need not be used."},
    {"write-beyond-tensor", "was written past its end",
     "The target writes behind a tensor: the last, partial tile is stored without a guard, or a "
     "stride is another axis's."},
    {"write-beyond-tensor", "was written before its start",
     "The target writes before a tensor: an index is negative."},
    {"misaligned", "is misaligned",
     "A vector load at an address that is no multiple of its size: head_dim or a stride is odd for "
     "the dtype."},
};

}  // namespace

const std::span<const TextPattern> sanitizer_patterns = kPatterns;

}  // namespace attnfuzz
