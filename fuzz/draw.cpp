#include "fuzz/draw.h"

#include <rapidcheck/Random.h>

namespace attnfuzz {
namespace {

class SeededDraw final : public Draw {
 public:
  SeededDraw(uint64_t seed, uint64_t index)
      : random_(rc::Random::Key{seed, index, 0x61747466757a7aU, 0}) {}
  uint64_t bits() override { return random_.next(); }

 private:
  rc::Random random_;
};

}  // namespace

int64_t Draw::between(int64_t lo, int64_t hi) {
  const uint64_t range = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) + 1;
  if (range == 1) return lo;
  const uint64_t chosen = range == 0 ? bits() : bits() % range;  // 0: all 2^64 numbers
  return static_cast<int64_t>(static_cast<uint64_t>(lo) + chosen);
}

bool Draw::chance(int percent) {
  return between(0, 99) < percent;
}

std::unique_ptr<Draw> seeded_draw(uint64_t seed, uint64_t index) {
  return std::make_unique<SeededDraw>(seed, index);
}

}  // namespace attnfuzz
