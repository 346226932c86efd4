#include "reports/text_file.h"

#include <fstream>
#include <iterator>

#include "oracle/error.h"

namespace attnfuzz {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || fs::is_directory(file))
    throw InputError(file.string(), "", "expected a readable file");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw InputError(file.string(), "", "expected a readable file");
  return text;
}

}  // namespace attnfuzz
