#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include "targets/cuda/block.h"
#include "targets/cuda/number.h"

/// A Block (block.h) of a CUDA device.
namespace attnfuzz::cuda {

template <class T>
struct CudaGlobal {
  T* data = nullptr;

  __device__ std::remove_const_t<T> at(int64_t i) const { return data[i]; }
  __device__ void set(int64_t i, std::remove_const_t<T> x) const { data[i] = x; }
};

template <class T>
struct CudaShared {
  T* data = nullptr;

  __device__ T at(int64_t i) const { return data[i]; }
  __device__ void set(int64_t i, T x) const { data[i] = x; }
};

/// The 16-bit floats as WMMA knows them.
template <class T>
struct WmmaNumber;
template <>
struct WmmaNumber<Half> {
  using Type = __half;
};
template <>
struct WmmaNumber<Bfloat> {
  using Type = __nv_bfloat16;
};

class CudaBlock {
 public:
  template <class T>
  using Global = CudaGlobal<T>;
  template <class T>
  using Shared = CudaShared<T>;

  /// A register: `thread` is always the one that runs.
  template <class T>
  struct PerThread {
    T value;
    __device__ T& operator[](int) { return value; }
  };

  __device__ explicit CudaBlock(unsigned char* memory) : memory_(memory) {}

  __device__ int64_t index() const { return blockIdx.x; }

  template <class T>
  __device__ Shared<T> shared(const char*, int64_t count) {
    T* data = reinterpret_cast<T*>(memory_);
    memory_ += shared_bytes(count, sizeof(T));
    return {data};
  }

  template <class F>
  __device__ void each_thread(Sync after, const F& f) {
    f(static_cast<int>(threadIdx.x));
    wait(after);
  }
  template <class F>
  __device__ void each_warp(Sync after, const F& f) {
    f(static_cast<int>(threadIdx.x) / warp_size);
    wait(after);
  }

  /// c (+)= a · b for 16 × depth and depth × 16 elements. On tensor cores with 16-bit numbers; else
  /// each lane makes 8 of the 256 sums.
  template <class T, class S>
  __device__ void multiply_add(const Matrix<Shared<T>>& a, const Matrix<Shared<T>>& b,
                               const Matrix<Shared<S>>& c, int64_t depth, bool add) const {
    if constexpr (sizeof(T) == 2) {
      if (b.transposed)
        multiply_tensor<nvcuda::wmma::col_major>(a, b, c, depth, add);
      else
        multiply_tensor<nvcuda::wmma::row_major>(a, b, c, depth, add);
    } else {
      const int lane = static_cast<int>(threadIdx.x) % warp_size;
      for (int64_t e = lane; e < tile * tile; e += warp_size) {
        const int64_t r = e / tile, n = e % tile;
        S sum = add ? c.array.at(c.at(r, n)) : S{0};
        for (int64_t k = 0; k < depth; ++k)
          sum = fma(a.array.at(a.at(r, k)), b.array.at(b.at(k, n)), sum);
        c.array.set(c.at(r, n), sum);
      }
    }
  }

  /// What the block wrote can be seen by all that draw later numbers.
  __device__ int64_t ticket(const Global<uint32_t>& counters, int64_t at,
                            const Shared<int64_t>& slot) const {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) slot.set(0, atomicAdd(counters.data + at, 1U));
    __syncthreads();
    __threadfence();
    return slot.at(0);
  }

 private:
  __device__ static void wait(Sync after) {
    if (after == Sync::block)
      __syncthreads();
    else
      __syncwarp();
  }

  template <class Order, class T, class S>
  __device__ static void multiply_tensor(const Matrix<Shared<T>>& a, const Matrix<Shared<T>>& b,
                                         const Matrix<Shared<S>>& c, int64_t depth, bool add) {
    namespace wmma = nvcuda::wmma;
    using Number = typename WmmaNumber<T>::Type;
    constexpr int n = static_cast<int>(tile);
    wmma::fragment<wmma::accumulator, n, n, n, float> sums;
    float* to = c.array.data + c.at(0, 0);
    if (add)
      wmma::load_matrix_sync(sums, to, static_cast<unsigned>(c.stride), wmma::mem_row_major);
    else
      wmma::fill_fragment(sums, 0.0F);
    for (int64_t k = 0; k < depth; k += tile) {
      wmma::fragment<wmma::matrix_a, n, n, n, Number, wmma::row_major> left;
      wmma::fragment<wmma::matrix_b, n, n, n, Number, Order> right;
      wmma::load_matrix_sync(left, reinterpret_cast<const Number*>(a.array.data + a.at(0, k)),
                             static_cast<unsigned>(a.stride));
      wmma::load_matrix_sync(right, reinterpret_cast<const Number*>(b.array.data + b.at(k, 0)),
                             static_cast<unsigned>(b.stride));
      wmma::mma_sync(sums, left, right, sums);
    }
    wmma::store_matrix_sync(to, sums, static_cast<unsigned>(c.stride), wmma::mem_row_major);
  }

  unsigned char* memory_;
};

}  // namespace attnfuzz::cuda
