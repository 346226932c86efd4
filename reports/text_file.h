#pragma once
#include <filesystem>
#include <string>

namespace attnfuzz {

/// The file's whole text; throws InputError if it can't be read.
std::string read_text(const std::filesystem::path& file);

}  // namespace attnfuzz
