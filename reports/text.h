#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Text from outside (error texts, package names, notes in case files) made fit for each format.
/// Everything here takes any bytes and gives valid UTF-8.
namespace attnfuzz::text {

inline constexpr size_t kLongest = 16384;  ///< bytes of an error text that a report keeps

/// Without ANSI escape sequences, control characters (shown as \x07; newline and tab stay),
/// invalid UTF-8 and bidirectional overrides; at most `limit` (≥ 64) bytes, with a note where some
/// are left out. clean(clean(x)) == clean(x).
std::string clean(std::string_view raw, size_t limit = kLongest);

/// clean() on one line: white space folded, cut with "…".
std::string line(std::string_view raw, size_t limit = 160);

/// For XML and HTML, as content or as an attribute's value.
std::string xml(std::string_view raw);

std::string markdown(std::string_view raw);       ///< as running text
std::string markdown_code(std::string_view raw);  ///< as a code span
/// As a fenced block; the fence is longer than any run of backticks inside.
std::string markdown_block(std::string_view raw, std::string_view language);

std::string shell(std::string_view raw);     ///< one word for a POSIX shell
std::string c_string(std::string_view raw);  ///< a string literal of C and C++

/// "7" or "0.25": the shortest decimal that reads back as the same double; "nan", "inf", "-inf".
std::string number(double value);
std::string count(int64_t n, std::string_view noun);      ///< "1 row", "3 rows"
std::string list(const std::vector<std::string>& items);  ///< "a, b and c"
std::string sentence(std::string_view words);  ///< first letter upper case, a full stop at the end

}  // namespace attnfuzz::text
