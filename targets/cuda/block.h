#pragma once
#include <cstdint>

#include "oracle/host_device.h"

/// What the kernels in this folder are written in: a thread block whose threads run phases. The
/// same source is compiled by nvcc (cuda_block.cuh) and for the CPU (emulated_block.h). A Block has
///   index(), each_thread(sync, f), each_warp(sync, f): f(thread) or f(warp), then a barrier;
///   shared<T>(name, count): an array in shared memory, the same for all threads;
///   PerThread<T>: a variable that each thread has its own of; Global<T>: an array in device
///   memory; multiply_add(…): a 16×16 tile of a product, by one warp; ticket(counter, slot):
///   publishes what the block wrote and draws the next number.
/// Arrays are read by at(i) and written by set(i, x). Code between phases is run by all threads
/// alike, so it may read but not write. A phase's function captures by value what changes.
namespace attnfuzz::cuda {

inline constexpr int warp_size = 32, warps = 4, threads = warps * warp_size;

/// Who waits at the end of a phase: the block (__syncthreads) or each warp for itself.
enum class Sync : uint8_t { block, warp };

/// Rows and columns of a tile of multiply_add, and the multiple that its sizes come in.
inline constexpr int64_t tile = 16;
ATTNFUZZ_HOST_DEVICE constexpr int64_t padded(int64_t size) {
  return (size + tile - 1) / tile * tile;
}

/// Where arrays in shared memory begin: what WMMA and vector loads ask for.
inline constexpr int64_t shared_alignment = 128;
ATTNFUZZ_HOST_DEVICE constexpr int64_t shared_bytes(int64_t count, int64_t element) {
  return (count * element + shared_alignment - 1) / shared_alignment * shared_alignment;
}
/// What a launch with these arrays asks for: FlashShape, DecodeShape.
template <class T, class Shape>
int64_t shared_bytes_of(const Shape& shape) {
  int64_t bytes = 0;
  shape.template arrays<T>([&](int64_t count, size_t element) {
    bytes += shared_bytes(count, static_cast<int64_t>(element));
  });
  return bytes;
}

/// An array in shared memory seen as the matrix [row][column], or [column][row] if transposed.
template <class Array>
struct Matrix {
  Array array;
  int64_t stride;
  int64_t row = 0, column = 0;  ///< where its tile begins
  bool transposed = false;

  ATTNFUZZ_HOST_DEVICE int64_t at(int64_t r, int64_t c) const {
    return transposed ? (column + c) * stride + row + r : (row + r) * stride + column + c;
  }
};

/// Where the vectors of a [batch, heads, len, dim] tensor lie, in elements.
struct Strides {
  int64_t batch = 0, head = 0, token = 0, element = 1;
};

/// A line that a mutant has wrong: see mutants.cpp.
enum class Mistake : uint8_t {
  none,
  tile_not_awaited,     ///< no __syncthreads between loading a tile and reading it
  tile_overwritten,     ///< none between reading a tile and loading the next one
  tail_not_masked,      ///< the zeros behind the last key count
  tail_not_guarded,     ///< the last tile is loaded to its end, past the tensor
  value_stride,         ///< rows of values are taken to be as wide as those of keys, if wider
  head_stride_ignored,  ///< heads are taken to lie one after the other
  offset_32,            ///< offsets are computed in 32 bits
  merge_by_index,       ///< the last part merges, not the one that ends last
  page_of_first_row,    ///< every row walks the first row's block table
};

/// An offset as the kernel computes it.
ATTNFUZZ_HOST_DEVICE inline int64_t offset_of(const Strides& s, Mistake mistake, int64_t b,
                                              int64_t h, int64_t i, int64_t d) {
  const int64_t offset = b * s.batch + h * s.head + i * s.token + d * s.element;
  return mistake == Mistake::offset_32 ? static_cast<int32_t>(offset) : offset;
}

}  // namespace attnfuzz::cuda
