#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attnfuzz {

/// A number captured from a text, and where it stands.
struct Captured {
  size_t offset = 0, length = 0;
  int64_t value = 0;
};

/// What a pattern captured, by name. A list ("[2, 4, 8]") gives several numbers.
using Captures = std::map<std::string, std::vector<Captured>, std::less<>>;

/// Finds `pattern` anywhere in `text`; case and the amount of white space make no difference.
///   {a}    an integer
///   {a:s}  a shape: integers separated by anything of "[](),;x×{}: " and the words around them
///   *      any text without a newline, up to 200 characters, as short as possible
/// All else stands for itself. Linear in the text for patterns without '*'.
/// `core`, if given, becomes the part of the text that matched.
std::optional<Captures> match_text(std::string_view pattern, std::string_view text,
                                   std::string_view* core = nullptr);

}  // namespace attnfuzz
