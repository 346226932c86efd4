#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace attnfuzz {

/// Base64 with padding (RFC 4648, section 4). Reading takes that form alone: nothing for another
/// character, a missing "=" or bits that are lost.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace attnfuzz
