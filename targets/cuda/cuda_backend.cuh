#pragma once
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "targets/cuda/cuda_block.cuh"
#include "targets/cuda/device_queue.h"

namespace attnfuzz::cuda {

/// Kernel::run by every block of a launch.
template <class Kernel>
__global__ void __launch_bounds__(threads)
    cuda_kernel(const __grid_constant__ typename Kernel::Params params) {
  extern __shared__ __align__(shared_alignment) unsigned char memory[];
  CudaBlock block(memory);
  Kernel::run(block, params);
}

/// Copies a piece with each row of the grid.
template <class P>
__global__ void __launch_bounds__(threads) gather_kernel(const __grid_constant__ P pieces) {
  copy_part(pieces.piece[blockIdx.y], blockIdx.x * size_t{threads} + threadIdx.x,
            gridDim.x * size_t{threads});
}

/// The calls of CUDA's runtime that a DeviceQueue makes.
struct CudaApi {
  using Error = cudaError_t;
  using Stream = cudaStream_t;
  static constexpr Error success = cudaSuccess, out_of_memory = cudaErrorMemoryAllocation;

  static Error create(Stream* stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
  }
  /// Without it each wait gives what is free back to the driver.
  static void keep_freed_memory() {
    int device = 0;
    cudaMemPool_t pool = nullptr;
    uint64_t all = UINT64_MAX;
    if (cudaGetDevice(&device) == cudaSuccess &&
        cudaDeviceGetDefaultMemPool(&pool, device) == cudaSuccess)
      cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all);
    forget_error();
  }
  static Error allocate(void** memory, size_t bytes) { return cudaMalloc(memory, bytes); }
  static Error free(void* memory) { return cudaFree(memory); }
  static Error allocate_async(void** memory, size_t bytes, Stream stream) {
    return cudaMallocAsync(memory, bytes, stream);
  }
  static Error free_async(void* memory, Stream stream) { return cudaFreeAsync(memory, stream); }
  static Error allocate_host(void** memory, size_t bytes) { return cudaMallocHost(memory, bytes); }
  static void free_host(void* memory) { cudaFreeHost(memory); }
  static Error fill(void* memory, unsigned char byte, size_t bytes, Stream stream) {
    return cudaMemsetAsync(memory, byte, bytes, stream);
  }
  static Error copy(void* to, const void* from, size_t bytes, Stream stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
  }
  static Error copy_in(void* to, const void* from, size_t bytes, Stream stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream);
  }
  static Error copy_out(void* to, const void* from, size_t bytes, Stream stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream);
  }
  static Error gather(const Pieces& pieces, Stream stream) {
    size_t longest = 0;
    for (int k = 0; k < pieces.count; ++k) longest = std::max(longest, pieces.piece[k].bytes);
    constexpr size_t bytes_of_block = size_t{threads} * sizeof(Chunk), most_blocks = 128;
    const size_t blocks = std::clamp<size_t>(longest / bytes_of_block, 1, most_blocks);
    const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(pieces.count));
    gather_kernel<Pieces><<<grid, threads, 0, stream>>>(pieces);
    return cudaGetLastError();
  }
  static Error wait(Stream stream) { return cudaStreamSynchronize(stream); }
  static void forget_error() { cudaGetLastError(); }
  static const char* text(Error error) { return cudaGetErrorString(error); }
};

/// The first device and a stream of its own.
class CudaBackend : public DeviceQueue<CudaApi> {
 public:
  using Block = CudaBlock;
  static constexpr int64_t pitch = 0;  ///< tensors lie as they came

  static CudaBackend& instance() {
    static CudaBackend backend;
    return backend;
  }

  template <class T>
  CudaGlobal<T> global(const char*, T* data, int64_t) {
    return {data};
  }
  template <class T>
  CudaGlobal<T> far(const char*, T* data, int64_t, int64_t) {
    return {data};
  }
  template <class T>
  CudaGlobal<T> workspace(const char*, T* data, int64_t) {
    return {data};
  }

  template <class Kernel>
  void launch(int64_t blocks, int64_t shared_bytes, const typename Kernel::Params& params) {
    constexpr int64_t most_blocks = 2147483647;  // in the grid's first axis
    if (blocks == 0 || !good()) return;
    if (blocks > most_blocks) return check(cudaErrorInvalidConfiguration);
    if (shared_bytes > most_shared_bytes_)
      return refuse("a block would take " + std::to_string(shared_bytes) +
                    " bytes of shared memory, of which this device gives it " +
                    std::to_string(most_shared_bytes_));
    check(cudaFuncSetAttribute(cuda_kernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
    if (!good()) return;
    cuda_kernel<Kernel>
        <<<static_cast<unsigned>(blocks), threads, static_cast<size_t>(shared_bytes), stream()>>>(
            params);
    check(cudaGetLastError());
  }

  /// Launches become a graph from here on, which replay() runs. Relaxed: a kernel may be loaded
  /// now.
  void capture() {
    if (good()) check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed));
  }
  void replay() {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamEndCapture(stream(), &graph));
    if (good()) check(cudaGraphInstantiate(&ready, graph, 0));
    if (good()) check(cudaGraphLaunch(ready, stream()));
    wait();
    if (ready != nullptr) cudaGraphExecDestroy(ready);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }

  std::string notes() { return {}; }

 private:
  CudaBackend() : DeviceQueue(std::getenv("ATTNFUZZ_SANITIZED") != nullptr) {
    int device = 0, bytes = 0;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    most_shared_bytes_ = bytes;
  }

  int64_t most_shared_bytes_ = 0;
};

}  // namespace attnfuzz::cuda
