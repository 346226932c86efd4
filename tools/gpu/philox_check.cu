// The host's Philox header on the device: the same bits? Exit 0 if all are, 1 if not, 3 without a
// device.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "oracle/philox.h"

namespace {

using namespace attnfuzz;

struct Element {
  uint64_t bits;
  double normal;
};

/// Element n of the check: seeds, tensors and indices of all sizes.
ATTNFUZZ_HOST_DEVICE Element element(uint64_t n) {
  const uint64_t seed = n * 0x9E3779B97F4A7C15U;
  const uint64_t index =
      element_index(n >> 3 & 0xFFF, n >> 7 & 0xFFF, n & 0xFFFFFF, n >> 5 & 0xFFFF);
  const uint64_t bits = element_bits(seed, static_cast<uint32_t>(n % 23), index);
  return {bits, normal_from_bits(bits)};
}

__global__ void fill(Element* to, uint64_t count) {
  const uint64_t n = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (n < count) to[n] = element(n);
}

}  // namespace

int main() {
  constexpr uint64_t count = 1 << 22;
  constexpr unsigned threads = 256;
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    std::printf("no GPU here: %s\n",
                found != cudaSuccess ? cudaGetErrorString(found) : "no device");
    return 3;
  }
  Element* on_device = nullptr;
  std::vector<Element> got(count);
  cudaMalloc(&on_device, count * sizeof(Element));
  fill<<<count / threads, threads>>>(on_device, count);
  cudaMemcpy(got.data(), on_device, count * sizeof(Element), cudaMemcpyDeviceToHost);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    std::printf("CUDA error: %s\n", cudaGetErrorString(error));
    return 1;
  }
  uint64_t wrong = 0;
  for (uint64_t n = 0; n < count; ++n) {
    const Element want = element(n);
    wrong += std::memcmp(&want, &got[n], sizeof want) != 0 ? 1 : 0;
  }
  std::printf("%llu of %llu elements have other bits on the device\n",
              static_cast<unsigned long long>(wrong), static_cast<unsigned long long>(count));
  return wrong == 0 ? 0 : 1;
}
