#include "reports/environment.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <thread>
#include <vector>

#include "reports/text.h"
#include "targets/remote.h"

namespace attnfuzz {
namespace {

/// The value of the first line "key<separator>value" of a file.
std::string first_value(const char* file, std::string_view key, char separator) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(separator);
    if (line.rfind(key, 0) != 0 || at == line.npos) continue;
    const size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const size_t end = line.find_last_not_of(" \t\"");
    if (begin != line.npos && end >= begin) return line.substr(begin, end - begin + 1);
  }
  return "";
}

}  // namespace

std::string environment_text() {
  std::vector<std::string> parts;
  if (utsname system{}; uname(&system) == 0)
    parts.push_back(fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  for (const auto& [file, key, separator] :
       {std::tuple{"/etc/os-release", "PRETTY_NAME", '='}, {"/proc/cpuinfo", "model name", ':'}})
    if (std::string value = first_value(file, key, separator); !value.empty())
      parts.push_back(std::move(value));
  if (const unsigned cores = std::thread::hardware_concurrency(); cores > 0)
    parts.push_back(text::count(cores, "core"));
  return text::line(fmt::format("{}", fmt::join(parts, ", ")), 400);
}

std::string environment_text(const std::string& target) {
  const std::string machine = environment_text(), told = worker_environment(target);
  return told.empty() ? machine : machine + ", " + text::line(told, 200);
}

}  // namespace attnfuzz
