#include "targets/cuda/buffer.h"

#include <gtest/gtest.h>

#include "targets/cuda/emulated_backend.h"

namespace attnfuzz::cuda {
namespace {

std::string damage(Buffer<EmulatedBackend>& buffer) {
  buffer.read_zones();
  return buffer.damage();
}

TEST(CudaBuffer, WritesOnEitherSideOfItAreTold) {
  EmulatedBackend backend;
  Buffer<EmulatedBackend> buffer(backend, "out", 8);
  auto* bytes = buffer.as<unsigned char>();
  EXPECT_EQ(bytes[0], 0xFF);
  bytes[0] = bytes[7] = 0;
  EXPECT_EQ(damage(buffer), "");
  bytes[8] = 0;
  EXPECT_EQ(damage(buffer), "out was written past its end (device memory)");
  bytes[8] = Buffer<EmulatedBackend>::mark;
  bytes[-1] = 0;
  EXPECT_EQ(damage(buffer), "out was written before its start (device memory)");
}

TEST(CudaBuffer, TheFarEndOfAZoneCountsToo) {
  EmulatedBackend backend;
  Buffer<EmulatedBackend> buffer(backend, "partial sums", 3);
  buffer.as<unsigned char>()[3 + EmulatedBackend::zone() - 1] = 0;
  EXPECT_EQ(damage(buffer), "partial sums was written past its end (device memory)");
}

}  // namespace
}  // namespace attnfuzz::cuda
