#include "reports/text_file.h"

#include <fstream>
#include <sstream>

#include "oracle/error.h"

namespace attnfuzz {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || fs::is_directory(file) || !(text << in.rdbuf()))
    throw InputError(file.string(), "", "expected a readable file");
  return text.str();
}

}  // namespace attnfuzz
