#pragma once
#include <cstdint>
#include <span>

#include "fuzz/draw.h"

namespace attnfuzz {

/// Draws from a fuzzer's input, two bytes for each choice, so that a mutation of the input changes
/// few choices. An input that has run out goes on with zeros: every byte string is a case.
class ByteDraw final : public Draw {
 public:
  explicit ByteDraw(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t bits() override {
    const size_t take = bytes_.size() < 2 ? bytes_.size() : 2;
    uint64_t value = 0;
    for (size_t k = 0; k < take; ++k) value |= uint64_t{bytes_[k]} << 8 * k;
    bytes_ = bytes_.subspan(take);
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace attnfuzz
