// The subcommands that are Python programs of their own: their arguments are handed on as they are.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "oracle/error.h"
#include "targets/remote.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

void add_to_python_path(const std::string& folder) {
  if (folder.empty()) return;
  const char* before = std::getenv("PYTHONPATH");
  const std::string rest = before != nullptr && *before != '\0' ? ":" + std::string(before) : "";
  setenv("PYTHONPATH", (folder + rest).c_str(), 1);
}

/// Becomes `python PROGRAM… ARGUMENTS…`, with $ATTNFUZZ naming this program.
[[noreturn]] void become(const std::vector<std::string>& program,
                         const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {python_interpreter(), "-B"};
  words.insert(words.end(), program.begin(), program.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  add_to_python_path(python_package_folder());
  setenv("ATTNFUZZ", std::filesystem::read_symlink("/proc/self/exe").c_str(), 1);
  execvp(argv[0], argv.data());
  throw InputError(words[0], "",
                   fmt::format("expected a Python interpreter: {}", std::strerror(errno)));
}

void add_program(CLI::App& app, const std::vector<std::string>& program) {
  app.set_help_flag();
  app.prefix_command();
  app.callback([&app, program] { become(program, app.remaining()); });
}

void add_script(CLI::App& app, const std::string& script) {
  add_program(app, {attnfuzz_home() + "/targets/python/" + script});
}

}  // namespace

void add_env(CLI::App& app, int&) {
  add_script(app, "env.py");
}

void add_check(CLI::App& app, int&) {
  add_program(app, {"-m", "attnfuzz"});
}

void add_probe(CLI::App& app, int&) {
  add_program(app, {"-m", "attnfuzz._probe"});
}

void add_record(CLI::App& app, int&) {
  add_program(app, {"-m", "attnfuzz_record"});
}

void add_bisect(CLI::App& app, int&) {
  add_script(app, "bisect_releases.py");
}

}  // namespace attnfuzz::cli
