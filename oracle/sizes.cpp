#include "oracle/sizes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace attnfuzz {

bool fits_float_sizes(const Tensor& tensor) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr int64_t block = 512;
  std::array<double, block> values;
  const int64_t size = tensor.size(), bytes = info(tensor.dtype).bytes;
  for (int64_t begin = 0; begin < size; begin += block) {
    const auto count = static_cast<size_t>(std::min(block, size - begin));
    decode(tensor.dtype, tensor.bytes.data() + begin * bytes, {values.data(), count});
    int outside = 0;
    for (size_t n = 0; n < count; ++n) {
      const double x = std::abs(values[n]);
      outside |= static_cast<int>((x > 0) & (x < 0x1p-40)) |
                 static_cast<int>((x > 0x1p50) & (x < infinity));
    }
    if (outside != 0) return false;
  }
  return true;
}

}  // namespace attnfuzz
