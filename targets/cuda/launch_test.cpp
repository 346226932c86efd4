#include <gtest/gtest.h>

#include "targets/cuda/decode.h"
#include "targets/cuda/emulated_block.h"
#include "targets/cuda/flash.h"

namespace attnfuzz::cuda {
namespace {

TEST(CudaLaunch, FlashHasABlockForEachTileOfQueries) {
  EXPECT_EQ(FlashShape::blocks(2, 3, 0), 0);
  EXPECT_EQ(FlashShape::blocks(2, 3, 1), 6);
  EXPECT_EQ(FlashShape::blocks(2, 3, 32), 6);
  EXPECT_EQ(FlashShape::blocks(2, 3, 33), 12);
  EXPECT_EQ(FlashShape::blocks(4096, 4096, 1 << 24), int64_t{1} << 43);
}

TEST(CudaLaunch, SharedMemoryFitsTheDevicesThatAreCompiledFor) {
  constexpr int64_t a100 = 163 * 1024;  // what a block can have on sm_80; sm_90, sm_100: 227 KiB
  EXPECT_EQ(shared_bytes_of<Half>(FlashShape(1, 1)), 11648);
  EXPECT_LE(shared_bytes_of<float>(FlashShape(256, 256)), a100);
  EXPECT_LE(shared_bytes_of<double>(FlashShape(128, 128)), a100);
  EXPECT_LE(shared_bytes_of<float>(DecodeShape{256, 256}), a100);
}

TEST(CudaLaunch, PartsCoverTheKeysOnceAndInOrder) {
  for (const int64_t size : {0, 1, 31, 32, 33, 100, 255, 256, 257, 5000})
    for (int64_t parts = 1; parts <= DecodeShape::most_parts; ++parts) {
      int64_t next = 7;
      for (int64_t n = 0; n < parts; ++n) {
        const KeyRange part = DecodeShape::part({7, 7 + size}, n, parts);
        EXPECT_EQ(part.begin, next);
        next = part.end;
      }
      EXPECT_EQ(next, 7 + size);
    }
  EXPECT_EQ(DecodeShape::parts(0), 1);
  EXPECT_EQ(DecodeShape::parts(33), 2);
  EXPECT_EQ(DecodeShape::parts(100000), DecodeShape::most_parts);
  EXPECT_LE(DecodeShape::part({5, 3}, 0, 2).end, 5);  // a row that sees nothing
}

TEST(CudaLaunch, OffsetsTakeSixtyFourBits) {
  const Strides strides{int64_t{1} << 31, 64, 8, 1};
  EXPECT_EQ(offset_of(strides, Mistake::none, 3, 2, 1, 5), 3 * (int64_t{1} << 31) + 128 + 8 + 5);
  EXPECT_EQ(offset_of(strides, Mistake::offset_32, 1, 0, 0, 0), -(int64_t{1} << 31));
}

}  // namespace
}  // namespace attnfuzz::cuda
