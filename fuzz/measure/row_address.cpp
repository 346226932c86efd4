#include "fuzz/measure/row_address.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz::measure {

struct RowAddress::Stride {
  const char* words;
  int64_t (*of)(const Problem&);
};

const std::vector<RowAddress::Stride>& RowAddress::strides() {
  static const std::vector<Stride> all{
      {"0", [](const Problem&) { return int64_t{0}; }},
      {"1", [](const Problem&) { return int64_t{1}; }},
      {"q_len", [](const Problem& p) { return p.q_len; }},
      {"num_heads", [](const Problem& p) { return p.num_heads; }},
      {"q_len·num_heads", [](const Problem& p) { return p.q_len * p.num_heads; }},
      {"kv_len", [](const Problem& p) { return p.kv_len; }},
      {"num_kv_heads", [](const Problem& p) { return p.num_kv_heads; }},
      {"kv_len·num_kv_heads", [](const Problem& p) { return p.kv_len * p.num_kv_heads; }},
      {"q_len·num_kv_heads", [](const Problem& p) { return p.q_len * p.num_kv_heads; }},
      {"kv_len·num_heads", [](const Problem& p) { return p.kv_len * p.num_heads; }},
      {"batch", [](const Problem& p) { return p.batch; }},
      {"batch·num_heads", [](const Problem& p) { return p.batch * p.num_heads; }},
      {"batch·num_kv_heads", [](const Problem& p) { return p.batch * p.num_kv_heads; }},
      {"batch·q_len", [](const Problem& p) { return p.batch * p.q_len; }},
      {"batch·kv_len", [](const Problem& p) { return p.batch * p.kv_len; }},
  };
  return all;
}

RowAddress RowAddress::right(Layout layout, RowsOf rows) {
  const size_t len = rows == RowsOf::queries ? 2 : 5;  // of strides(): then heads, and both
  RowAddress address;
  address.by_ = layout == Layout::bhsd ? std::array{len + 2, len, size_t{1}}
                                       : std::array{len + 2, size_t{1}, len + 1};
  return address;
}

Index RowAddress::of(const Problem& p, RowsOf rows, const Index& right) const {
  int64_t at = 0;
  for (size_t n = 0; n < 3; ++n) at += right[n] * strides()[by_[n]].of(p);
  const int64_t heads = rows == RowsOf::queries ? p.num_heads : p.num_kv_heads,
                len = rows == RowsOf::queries ? p.q_len : p.kv_len;
  if (at >= p.batch * heads * len) return {-1, -1, -1};
  if (p.layout == Layout::bhsd) return {at / len / heads, at / len % heads, at % len};
  return {at / heads / len, at % heads, at / heads % len};
}

std::string RowAddress::words() const {
  std::string words;
  constexpr std::array letters{"b", "h", "i"};
  for (size_t n = 0; n < 3; ++n) {
    const std::string_view stride = strides()[by_[n]].words;
    if (stride == "0") continue;
    words += fmt::format("{}{}{}{}", words.empty() ? "" : " + ", letters[n],
                         stride == "1" ? "" : "·", stride == "1" ? "" : stride);
  }
  return words.empty() ? "0" : words;
}

std::string RowAddress::find(Layout layout, RowsOf rows,
                             const std::function<bool(const RowAddress&)>& fits) {
  const RowAddress of_layout = right(layout, rows);
  for (int differing = 1; differing <= 3; ++differing)
    for (size_t b = 0; b < strides().size(); ++b)
      for (size_t h = 0; h < strides().size(); ++h)
        for (size_t i = 0; i < strides().size(); ++i) {
          RowAddress address;
          address.by_ = {b, h, i};
          int other = 0;
          for (size_t n = 0; n < 3; ++n) other += address.by_[n] != of_layout.by_[n] ? 1 : 0;
          if (other == differing && fits(address))
            return fmt::format(
                "{} of [{}], where {} is right", address.words(),
                layout == Layout::bhsd ? "batch, heads, tokens" : "batch, tokens, heads",
                of_layout.words());
        }
  return "";
}

}  // namespace attnfuzz::measure
