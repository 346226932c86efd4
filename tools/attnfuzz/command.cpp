#include "tools/attnfuzz/command.h"

#include <algorithm>
#include <charconv>

#include "oracle/error.h"

namespace attnfuzz::cli {

namespace fs = std::filesystem;

double parse_duration(const std::string& text, const std::string& flag) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const double factor = unit.empty() || unit == "s"    ? 1
                        : unit == "ms"                 ? 1e-3
                        : unit == "m" || unit == "min" ? 60
                        : unit == "h"                  ? 3600
                                                       : 0;
  if (error != std::errc{} || factor == 0 || !(value > 0) || value * factor > 1e9)
    throw InputError(flag, "", "expected a duration such as 60s, 5m or 2h, found \"" + text + "\"");
  return value * factor;
}

std::vector<fs::path> corpus_files(const fs::path& dir) {
  std::vector<fs::path> files;
  std::error_code error;
  if (!fs::is_directory(dir, error)) return files;
  for (fs::recursive_directory_iterator at(dir, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    const bool is_case = name == "case.json" || name.ends_with(".case.json");  // a finding's, too
    if (is_case && at->is_regular_file(error)) files.push_back(at->path());
  }
  if (error)
    throw InputError(dir.string(), "", "expected a folder that can be read: " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace attnfuzz::cli
