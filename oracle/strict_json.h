#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace attnfuzz {

/// Parses a whole JSON text. Throws InputError for malformed text (with line and column), a key
/// given twice (with its path) and nesting deeper than any of our formats.
nlohmann::json parse_json(std::string_view text, const std::string& where);

/// Text with two spaces a level; objects that fit on a line of 100 columns and lists of plain
/// values stay on one. Ends with a newline.
std::string pretty_json(const nlohmann::ordered_json& json);

/// A key as a part of a JSON pointer (RFC 6901), with its slash: "/a~1b" for "a/b".
std::string pointer_part(std::string_view key);

}  // namespace attnfuzz
