#pragma once
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "targets/cuda/cuda_block.cuh"

namespace attnfuzz::cuda {

/// Kernel::run by every block of a launch.
template <class Kernel>
__global__ void __launch_bounds__(threads)
    cuda_kernel(const __grid_constant__ typename Kernel::Params params) {
  extern __shared__ __align__(shared_alignment) unsigned char memory[];
  CudaBlock block(memory);
  Kernel::run(block, params);
}

/// Whether no call can succeed in this process after the error.
inline bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

/// One device and a stream of its own. The first error is kept; what comes after it does nothing.
class CudaBackend {
 public:
  using Block = CudaBlock;
  static constexpr int64_t pitch = 0;  ///< tensors lie as they came

  static CudaBackend& instance() {
    static CudaBackend backend;
    return backend;
  }

  /// Allocations stay aligned. None under compute-sanitizer, which then sees an access beside them.
  static size_t zone() {
    static const size_t bytes = std::getenv("ATTNFUZZ_SANITIZED") != nullptr ? 0 : 256;
    return bytes;
  }
  void* allocate(size_t bytes) {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, bytes, stream_));
    return memory;
  }
  void release(void* memory) { check(cudaFreeAsync(memory, stream_)); }
  void fill(void* memory, unsigned char byte, size_t bytes) {
    if (good() && bytes > 0) check(cudaMemsetAsync(memory, byte, bytes, stream_));
  }
  void copy(void* to, const void* from, size_t bytes) {
    copy(to, from, bytes, cudaMemcpyDeviceToDevice);
  }
  void copy_in(void* device, const void* host, size_t bytes) {
    copy(device, host, bytes, cudaMemcpyHostToDevice);
  }
  void copy_out(void* host, const void* device, size_t bytes) {
    copy(host, device, bytes, cudaMemcpyDeviceToHost);
    if (good()) check(cudaStreamSynchronize(stream_));
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
    check(cudaFuncSetAttribute(cuda_kernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
    if (!good()) return;
    cuda_kernel<Kernel>
        <<<static_cast<unsigned>(blocks), threads, static_cast<size_t>(shared_bytes), stream_>>>(
            params);
    check(cudaGetLastError());
  }

  /// Launches become a graph from here on, which replay() runs. Relaxed: a kernel may be loaded
  /// now.
  void capture() {
    if (good()) check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
  }
  void replay() {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamEndCapture(stream_, &graph));
    if (good()) check(cudaGraphInstantiate(&ready, graph, 0));
    if (good()) check(cudaGraphLaunch(ready, stream_));
    if (good()) check(cudaStreamSynchronize(stream_));
    if (ready != nullptr) cudaGraphExecDestroy(ready);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }

  std::string error(bool& sticky) {
    if (good()) check(cudaStreamSynchronize(stream_));
    const cudaError_t error = std::exchange(error_, cudaSuccess);
    sticky = is_sticky(error);
    if (error == cudaSuccess) return {};
    cudaGetLastError();  // forgets one that is not sticky
    return std::string("CUDA error: ") + cudaGetErrorString(error);
  }
  std::string notes() { return {}; }
  cudaStream_t stream() const { return stream_; }

 private:
  CudaBackend() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

  bool good() const { return error_ == cudaSuccess; }
  void check(cudaError_t error) {
    if (good()) error_ = error;
  }
  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    if (good() && bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, stream_));
  }

  cudaStream_t stream_ = nullptr;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace attnfuzz::cuda
