// GFLOP/s of the oracle on the device (targets/cuda/flash.h in double precision) by length, as
// JSON. FLOPs are counted as 4·heads·q_len·kv_len·head_dim, as in tools/bench/oracle_gflops.cpp.
// Exit 3 without a device. Usage: gpu_oracle_gflops LENGTH…
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "oracle/philox.h"
#include "targets/cuda/cuda_backend.cuh"
#include "targets/cuda/flash.h"

namespace {

using namespace attnfuzz;
using namespace attnfuzz::cuda;
using Kernel = Flash<double, CudaBlock>;

constexpr int64_t heads = 4, dim = 128;

double* made(int64_t count, uint32_t tensor) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t n = 0; n < values.size(); ++n)
    values[n] = normal_from_bits(element_bits(1, tensor, n));
  double* memory = nullptr;
  cudaMalloc(&memory, values.size() * sizeof(double));
  cudaMemcpy(memory, values.data(), values.size() * sizeof(double), cudaMemcpyHostToDevice);
  return memory;
}

Kernel::Params problem(int64_t length) {
  Kernel::Params p{};
  const int64_t count = heads * length * dim;
  p.q = {made(count, 0)};
  p.k = {made(count, 1)};
  p.v = {made(count, 2)};
  p.out = {made(count, 3)};
  p.q_strides = p.k_strides = p.v_strides = p.out_strides = {count, length * dim, dim, 1};
  p.num_heads = p.num_kv_heads = heads;
  p.q_len = p.kv_len = length;
  p.head_dim = p.head_dim_v = dim;
  p.exact_scale = 0.08838834764831845;  // 1/sqrt(128)
  p.mask.kv_len = length;
  return p;
}

/// The best of five runs.
double gflops(int64_t length) {
  const Kernel::Params p = problem(length);
  cudaEvent_t start = nullptr, end = nullptr;
  cudaEventCreate(&start);
  cudaEventCreate(&end);
  CudaBackend& backend = CudaBackend::instance();
  float best = 1e30F;
  for (int round = 0; round < 6; ++round) {  // the first one warms up
    cudaEventRecord(start, backend.stream());
    backend.launch<Kernel>(FlashShape::blocks(1, heads, length),
                           shared_bytes_of<double>(FlashShape(dim, dim)), p);
    cudaEventRecord(end, backend.stream());
    cudaEventSynchronize(end);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, start, end);
    if (round > 0) best = std::min(best, milliseconds);
  }
  backend.wait();
  bool sticky = false;
  if (const std::string error = backend.error(sticky); !error.empty()) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::exit(1);
  }
  for (const double* memory :
       {p.q.data, p.k.data, p.v.data, static_cast<const double*>(p.out.data)})
    cudaFree(const_cast<double*>(memory));
  return 4.0 * heads * static_cast<double>(length * length) * dim / best / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "no GPU here: %s\n",
                 found != cudaSuccess ? cudaGetErrorString(found) : "no device");
    return 3;
  }
  std::printf("{");
  for (int arg = 1; arg < argc; ++arg)
    std::printf("%s\"%s\": %.1f", arg > 1 ? ", " : "", argv[arg], gflops(std::atoll(argv[arg])));
  std::printf("}\n");
  return 0;
}
