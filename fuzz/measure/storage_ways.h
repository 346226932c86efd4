#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz::measure {

/// A key or a value, as it was written into a quantised cache and as it was read from there.
struct StoredRead {
  Quant quant;
  std::vector<double> written, read;  ///< some of its elements
  double scale;                       ///< its own
  double other_scale;                 ///< of a key: that of the values, and the other way round
  double error;                       ///< of `read`, relative
};

/// The scales with which it is written and read, and how it is rounded.
struct StorageWay {
  const char* words;  ///< {0}: "values", {1}: "keys", or the other way round
  double (*write)(double scale, double other_scale);
  double (*read)(double scale, double other_scale);
  enum class To : uint8_t { nearest, zero, wrapped, nothing } to = To::nearest;

  bool explains(const StoredRead& read) const;
};

/// The words of the first way that explains all of them; "" where none does.
std::string storage_words(std::span<const StoredRead> reads, std::string_view what,
                          std::string_view other);

}  // namespace attnfuzz::measure
