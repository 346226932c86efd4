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

// How many devices there are; what is wrong is left in *why.
extern "C" int attnfuzz_cuda_devices(const char** why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  *why = error == cudaSuccess ? "" : cudaGetErrorString(error);
  return error == cudaSuccess ? count : 0;
}
