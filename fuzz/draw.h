#pragma once
#include <cstdint>
#include <memory>
#include <span>

namespace attnfuzz {

/// Where random choices come from: RapidCheck's generator for campaigns, the fuzzer's bytes under
/// libFuzzer. Everything that makes or mutates Cases draws from this alone, so one description of
/// the space serves both.
class Draw {
 public:
  virtual ~Draw() = default;
  virtual uint64_t bits() = 0;

  int64_t between(int64_t lo, int64_t hi);  ///< uniform in [lo, hi]
  bool chance(int percent);
  template <class T>
  const T& pick(std::span<const T> of) {
    return of[static_cast<size_t>(between(0, static_cast<int64_t>(of.size()) - 1))];
  }
};

/// Draws for case `index` of the campaign with `seed`: a function of these two alone, so that a
/// shard runs exactly its part.
std::unique_ptr<Draw> seeded_draw(uint64_t seed, uint64_t index);

}  // namespace attnfuzz
