#include "oracle/base64.h"

#include <algorithm>
#include <cstdint>

namespace attnfuzz {
namespace {

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t k = 0; k < bytes.size(); k += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - k);
    uint32_t bits = 0;
    for (size_t n = 0; n < 3; ++n)
      bits = bits << 8 | (n < count ? static_cast<unsigned char>(bytes[k + n]) : 0U);
    for (size_t n = 0; n < 4; ++n) text += n <= count ? digits[bits >> (18 - 6 * n) & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t k = 0; k < text.size(); ++k) {
    const bool pad = k >= text.size() - padding;
    const size_t digit = pad ? 0 : digits.find(text[k]);
    if (digit == std::string_view::npos) return {};
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (k % 4 != 3) continue;
    for (size_t n = 0; n < 3; ++n) bytes += static_cast<char>(bits >> (16 - 8 * n) & 0xFF);
  }
  for (size_t n = 0; n < padding; ++n) {
    if (bytes.back() != 0) return {};
    bytes.pop_back();
  }
  return bytes;
}

}  // namespace attnfuzz
