#include "tools/attnfuzz/checks.h"

#include <charconv>
#include <cstdint>
#include <string>

namespace attnfuzz::cli {

CLI::Validator whole_number() {
  return {[](const std::string& text) {
            int64_t value = 0;
            const char* end = text.data() + text.size();
            const auto [rest, error] = std::from_chars(text.data(), end, value);
            const bool whole = error == std::errc{} && rest == end && value >= 0;
            return whole ? std::string()
                         : "expected a whole number from 0 to 2^63 - 1, found \"" + text + "\"";
          },
          "", "whole number"};
}

}  // namespace attnfuzz::cli
