#pragma once

/// Before a function that is compiled for host and device: nvcc makes both of it, other compilers
/// see a plain function. Such headers use nothing but the language and <cstdint>.
#ifdef __CUDACC__
#define ATTNFUZZ_HOST_DEVICE __host__ __device__
#else
#define ATTNFUZZ_HOST_DEVICE
#endif
