// The targets of this folder on a CUDA device, as a plug-in: attnfuzz opens it for "cuda:flash" ….
#include <vector>

#include "targets/cuda/cuda_backend.cuh"
#include "targets/cuda/entries.h"

namespace attnfuzz::cuda {
namespace {

std::vector<attnfuzz_target> all_targets() {
  std::vector<attnfuzz_target> all(std::begin(entries<CudaBackend>),
                                   std::end(entries<CudaBackend>));
  for (const CudaMutant& mutant : mutants<CudaBackend>) all.push_back(mutant.entry);
  return all;
}

}  // namespace
}  // namespace attnfuzz::cuda

extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) {
  static const std::vector<attnfuzz_target> targets = attnfuzz::cuda::all_targets();
  static const attnfuzz_target_list list = {ATTNFUZZ_ABI_VERSION,
                                            static_cast<int64_t>(targets.size()), targets.data()};
  return &list;
}

// How many devices there are that can run this plug-in's kernels: none where the first one, which
// is used, has no code here. What is wrong is left in *why. Makes the process ready for its first
// call.
extern "C" int attnfuzz_cuda_devices(const char** why) {
  using Kernel = attnfuzz::cuda::Flash<float, attnfuzz::cuda::CudaBlock>;
  int count = 0;
  cudaFuncAttributes attributes{};
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0)
    error = cudaFuncGetAttributes(&attributes, attnfuzz::cuda::cuda_kernel<Kernel>);
  *why = error == cudaSuccess ? "" : cudaGetErrorString(error);
  return error == cudaSuccess ? count : 0;
}
