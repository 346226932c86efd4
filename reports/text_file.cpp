#include "reports/text_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "oracle/error.h"

namespace attnfuzz {

namespace fs = std::filesystem;

namespace {

void write_at(const fs::path& place, const std::string& text, const fs::path& file) {
  errno = 0;
  std::ofstream out(place, std::ios::binary);
  out << text;
  if (out.flush()) return;
  const std::string why = std::generic_category().message(errno);
  std::error_code ignored;
  if (place != file) fs::remove(place, ignored);
  throw InputError(file.string(), "", "expected a file that can be written: " + why);
}

}  // namespace

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || fs::is_directory(file))
    throw InputError(file.string(), "", "expected a readable file");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw InputError(file.string(), "", "expected a readable file");
  return text;
}

void write_text(const fs::path& file, const std::string& text) {
  std::error_code error;
  const fs::file_status there = fs::symlink_status(file, error);
  if (fs::exists(there) && !fs::is_regular_file(there)) return write_at(file, text, file);
  const fs::path part = file.string() + ".part";
  write_at(part, text, file);
  fs::rename(part, file, error);
  if (error)
    throw InputError(file.string(), "", "expected a file that can be written: " + error.message());
}

bool make_folder(const fs::path& dir) {
  std::error_code error;
  const bool made = fs::create_directories(dir, error);
  if (error)
    throw InputError(dir.string(), "", "expected a folder that can be made: " + error.message());
  return made;
}

}  // namespace attnfuzz
