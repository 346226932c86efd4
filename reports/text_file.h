#pragma once
#include <filesystem>
#include <string>

namespace attnfuzz {

/// The file's whole text; throws InputError if it can't be read.
std::string read_text(const std::filesystem::path& file);

/// Writes the file whole: beside it first and then renamed, so that neither a reader nor a kill
/// sees half of it. What is no plain file (a pipe, a device, a link) is written to where it is.
/// Throws InputError if it can't be written.
void write_text(const std::filesystem::path& file, const std::string& text);

/// Makes the folder and those above it; whether it was new. Throws InputError if it can't be made.
bool make_folder(const std::filesystem::path& dir);

}  // namespace attnfuzz
