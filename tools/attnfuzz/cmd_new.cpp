// Starting points for users, which run as they are; the texts lie in templates/.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "oracle/error.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/templates.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

/// A kind of file that `new` writes. In `file`, `text` and `next`, {{name}} stands for the name,
/// and
/// {{family}} for the name as targets have it.
struct Template {
  std::string_view kind, file, text, next;
};

const std::array<Template, 5>& all_templates() {
  static const std::array<Template, 5> table{{
      {"plugin", "{{name}}.cpp", templates::my_attention_cpp,
       "c++ -shared -fPIC -O2 -I \"$(attnfuzz include)\" {{name}}.cpp -o {{name}}.so\n"
       "attnfuzz run -t ./{{name}}.so --time 10s\n"},
      {"adapter", "{{name}}.py", templates::adapter_py,
       "ATTNFUZZ_ADAPTERS=. attnfuzz run -t {{family}}:attention --time 10s\n"},
      {"cache", "{{name}}.py", templates::cache_py,
       "ATTNFUZZ_ADAPTERS=. attnfuzz run -t {{family}}:cache --time 10s\n"},
      {"pytest", "test_{{name}}.py", templates::pytest_py, "pytest test_{{name}}.py\n"},
      {"ci", ".github/workflows/{{name}}.yml", templates::ci_yml,
       "git add .github/workflows/{{name}}.yml\n"},
  }};
  return table;
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::string filled(std::string_view text, const std::string& name) {
  std::string family = name;
  std::replace(family.begin(), family.end(), '_', '-');
  std::string result(text);
  replace_all(result, "{{name}}", name);
  replace_all(result, "{{family}}", family);
  return result;
}

void demand_identifier(const std::string& name) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0 ||
      !std::all_of(name.begin(), name.end(), fits))
    throw InputError("NAME", "",
                     fmt::format("expected letters, digits and underscores, found \"{}\"", name));
}

void write_new(const std::string& kind, const std::string& name, const std::string& dir) {
  demand_identifier(name);
  const auto& table = all_templates();
  const auto* const found = std::find_if(table.begin(), table.end(),
                                         [&](const Template& each) { return each.kind == kind; });
  const fs::path file = fs::path(dir) / filled(found->file, name);
  if (fs::exists(file))
    throw InputError(file.string(), "", "expected a file that is not there yet");
  make_folder(file.parent_path());
  std::string text = filled(found->text, name);
  if (found->kind == "plugin") replace_all(text, "my_attention", name);
  write_text(file, text);
  fmt::print("{} is written. Next:\n\n{}", file.string(), filled(found->next, name));
}

}  // namespace

void add_new(CLI::App& app, int& exit_code) {
  struct Options {
    std::string kind, name, dir = ".";
  };
  const auto options = std::make_shared<Options>();
  std::vector<std::string> kinds;
  for (const Template& each : all_templates()) kinds.emplace_back(each.kind);
  app.add_option("kind", options->kind, "plugin (C++), adapter or cache (Python), pytest, or ci")
      ->required()
      ->check(CLI::IsMember(kinds));
  app.add_option("name", options->name, "The name of what is under test")->required();
  app.add_option("--dir", options->dir, "The folder to write into")->capture_default_str();
  app.callback([options, &exit_code] {
    write_new(options->kind, options->name, options->dir);
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
