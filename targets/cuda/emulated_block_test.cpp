#include "targets/cuda/emulated_block.h"

#include <gtest/gtest.h>

#include <cmath>

#include "targets/cuda/emulated_backend.h"

namespace attnfuzz::cuda {
namespace {

/// Warp w writes element w; then each warp reads its neighbour's, which is behind or ahead of it.
struct Exchange {
  struct Params {
    EmulatedGlobal<float> out;
    Sync sync;
    bool beyond;
  };
  static void run(EmulatedBlock& block, const Params& p) {
    const EmulatedShared<float> x = block.shared<float>("x", warps);
    block.each_warp(p.sync, [x](int warp) { x.set(warp, static_cast<float>(warp)); });
    block.each_warp(Sync::block, [x, &p](int warp) {
      p.out.set(warp, x.at((warp + 1) % warps + (p.beyond ? warps : 0)));
    });
  }
};

struct Result {
  std::array<float, warps> out{};
  std::string error, notes;
};
Result exchange(Sync sync, bool beyond = false, int64_t bytes = shared_alignment,
                int64_t out_size = warps) {
  Result result;
  EmulatedBackend backend;
  backend.launch<Exchange>(1, bytes,
                           {backend.global("out", result.out.data(), out_size), sync, beyond});
  bool sticky = false;
  result.error = backend.error(sticky);
  result.notes = backend.notes();
  return result;
}

TEST(EmulatedBlock, BarrierMakesWritesOfOtherWarpsSeen) {
  const Result result = exchange(Sync::block);
  EXPECT_EQ(result.out, (std::array<float, warps>{1, 2, 3, 0}));
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.notes, "");
}

TEST(EmulatedBlock, WithoutBarrierAWarpRunsAheadAndTheRaceIsReported) {
  const Result result = exchange(Sync::warp);
  EXPECT_TRUE(std::isnan(result.out[0]));  // read before warp 1 has written
  EXPECT_EQ(result.out[3], 0);             // warp 0 came first
  EXPECT_NE(result.notes.find("Race reported between Read access and Write access: x"),
            std::string::npos);
  EXPECT_NE(result.notes.find("Race reported between Write access and Read access: x"),
            std::string::npos);
}

TEST(EmulatedBlock, SharedReadBeyondAnArrayGivesNaNAndIsReported) {
  const Result result = exchange(Sync::block, true);
  for (const float x : result.out) EXPECT_TRUE(std::isnan(x));
  EXPECT_EQ(result.notes, "Invalid __shared__ read: outside x");
}

TEST(EmulatedBlock, MoreSharedMemoryThanTheLaunchAskedForIsAnError) {
  EXPECT_NE(exchange(Sync::block, false, shared_alignment - 1).error.find("__shared__"),
            std::string::npos);
}

TEST(EmulatedBlock, GlobalWriteOutsideATensorIsNotMadeAndIsAnError) {
  const Result result = exchange(Sync::block, false, shared_alignment, warps - 1);
  EXPECT_EQ(result.out[3], 0);
  EXPECT_EQ(result.error,
            "CUDA error: an illegal memory access was encountered\n"
            "Invalid __global__ write: outside out, offset 3");
}

TEST(EmulatedGlobal, FarRowsStandPitchApartWithNothingBetween) {
  Reports reports;
  std::vector<float> data{1, 2, 3, 4};
  constexpr int64_t pitch = EmulatedBackend::pitch;
  const EmulatedGlobal<float> far("k", data.data(), 4, &reports, 2, pitch);
  EXPECT_EQ(far.at(1), 2);
  EXPECT_EQ(far.at(pitch), 3);
  EXPECT_TRUE(reports.error.empty());
  EXPECT_TRUE(std::isnan(far.at(2)));
  EXPECT_EQ(reports.error.text(), "Invalid __global__ read: outside k, offset 2");
  const int32_t wrapped = static_cast<int32_t>(2 * pitch);
  Reports others;
  EXPECT_TRUE(
      std::isnan(EmulatedGlobal<float>("k", data.data(), 4, &others, 2, pitch).at(wrapped)));
  EXPECT_EQ(others.error.text(),
            "Invalid __global__ read: before the start of k, offset 2147483648");
}

TEST(EmulatedGlobal, WorkspaceThatWasNotWrittenIsReported) {
  EmulatedBackend backend;
  std::vector<float> data(2);
  const EmulatedGlobal<float> space = backend.workspace("sums", data.data(), 2);
  space.set(0, 1);
  space.at(0);
  space.at(1);
  EXPECT_EQ(backend.notes(), "Uninitialized __global__ memory read: sums");
}

TEST(EmulatedBackend, GraphRunsWhatWasCapturedWithItsParameters) {
  std::array<float, warps> out{};
  EmulatedBackend backend;
  backend.capture();
  backend.launch<Exchange>(1, shared_alignment,
                           {backend.global("out", out.data(), warps), Sync::block, false});
  EXPECT_EQ(out[0], 0);
  backend.replay();
  EXPECT_EQ(out[0], 1);
}

}  // namespace
}  // namespace attnfuzz::cuda
