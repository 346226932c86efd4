#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace attnfuzz {

/// A number in an error text.
struct TextNumber {
  enum class Role : uint8_t {
    size,      ///< may be the size of an axis
    constant,  ///< says which one, not how many ("dimension 0", "argument 2"): stays as it is
    noise,     ///< an address, a fraction, a line number: differs from run to run
  };
  size_t offset, length;
  int64_t value;
  Role role;
};

/// The numbers of a text, in order. Digits inside a word ("float32", "sm_80") are none.
std::vector<TextNumber> numbers_in(std::string_view text);

/// The part of an error text that says what is wrong, without the stack that some packages add.
std::string_view dedup_text(std::string_view text);

}  // namespace attnfuzz
