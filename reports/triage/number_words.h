#pragma once
#include <string>
#include <string_view>

namespace attnfuzz::triage {

/// A line with its numbers in digits: "two heads" is "2 heads", "thirty-two" is "32". "one" stays:
/// it is seldom a size.
std::string with_digits(std::string_view line);

}  // namespace attnfuzz::triage
