#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/report.h"
#include "targets/sanitizer.h"
#include "targets/target.h"
#include "tools/attnfuzz/command_help.h"

namespace attnfuzz::cli {
namespace {

/// What may stand behind an option; where nothing is said, a file's name.
struct Values {
  std::string_view option;
  std::vector<std::string> (*words)();
};

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const BuiltinTarget& target : builtin_targets()) names.emplace_back(target.name);
  return names;
}

std::vector<std::string> formats() {
  std::vector<std::string> names;
  for (const Writer& writer : writers()) names.emplace_back(writer.format);
  return names;
}

std::vector<std::string> limits() {
  std::vector<std::string> names;
  for (const std::string_view name : size_names()) names.push_back(std::string(name) + "=");
  return names;
}

std::vector<std::string> shell_names();

constexpr Values values[] = {{"--target", target_names},
                             {"--format", formats},
                             {"--limit", limits},
                             {"--sanitize", sanitizer_tools},
                             {"shell", shell_names}};

std::vector<std::string> words_for(const OptionHelp& option) {
  for (const Values& each : values)
    if (each.option == option.name) return each.words();
  return {};
}

/// A command's options, and those of the commands below it that it has not.
std::vector<OptionHelp> options_of(const CommandHelp& command) {
  std::vector<OptionHelp> all = command.options;
  for (const CommandHelp& below : command.commands)
    for (const OptionHelp& option : below.options)
      if (!option.flags.empty() && option.name != "--help") all.push_back(option);
  return all;
}

std::vector<std::string> names_of(const std::vector<CommandHelp>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const CommandHelp& command : commands) names.push_back(command.name);
  return names;
}

/// Options that take a value and have no words of their own: numbers and texts, but for these.
bool takes_a_path(const OptionHelp& option) {
  constexpr std::string_view paths[] = {"--out", "--corpus", "--target"};
  return std::find(std::begin(paths), std::end(paths), option.name) != std::end(paths);
}

/// Words with a colon in them are told apart by hand: bash takes a colon for the end of a word.
std::string bash(const std::vector<CommandHelp>& commands) {
  std::string cases;
  for (const CommandHelp& command : commands) {
    std::string flags = fmt::format("{}", fmt::join(names_of(command.commands), " ")), after;
    for (const OptionHelp& option : options_of(command)) {
      if (option.flags.empty()) {
        flags += fmt::format(" {}", fmt::join(words_for(option), " "));
        continue;
      }
      for (const std::string& flag : option.flags) flags += (flags.empty() ? "" : " ") + flag;
      if (option.value.empty()) continue;
      after += fmt::format("        {}) words='{}' files={} ;;\n", fmt::join(option.flags, "|"),
                           fmt::join(words_for(option), " "), takes_a_path(option) ? 1 : 0);
    }
    cases +=
        fmt::format("    {})\n      words='{}' files=1\n      case $previous in\n{}      esac ;;\n",
                    command.name, flags, after);
  }
  return fmt::format(R"(# bash completion of attnfuzz, made by `attnfuzz completion bash`
_attnfuzz() {{
  local line=${{COMP_LINE:0:COMP_POINT}} words files=0 typed
  local current=${{line##*[[:space:]]}} before=${{line%[[:space:]]*}}
  local previous=${{before##*[[:space:]]}}
  read -ra typed <<< "$before"
  case ${{typed[1]:-}} in
{}    *) words='{} --help --version' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [ "$files" = 1 ] && [[ $current != -* ]]; then
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$current")
  fi
  local colons=${{current%"${{current##*:}}"}}
  COMPREPLY=("${{COMPREPLY[@]#"$colons"}}")
}}
complete -o filenames -o nosort -F _attnfuzz attnfuzz
)",
                     cases, fmt::join(names_of(commands), " "));
}

/// Text inside an _arguments specification, which stands in single quotes.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string zsh(const std::vector<CommandHelp>& commands) {
  std::string list, cases;
  for (const CommandHelp& command : commands) {
    list += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.help));
    std::string specs;
    if (!command.commands.empty())
      specs += fmt::format(" \\\n        '1:command:({})' '*:folder:_files'",
                           fmt::join(names_of(command.commands), " "));
    for (const OptionHelp& option : options_of(command)) {
      std::vector<std::string> words = words_for(option);
      std::string action;
      for (const std::string& word : words) {
        if (!action.empty()) action += ' ';
        action += zsh_text(word);
      }
      if (!action.empty()) action = fmt::format("({})", action);
      if (action.empty() && (option.flags.empty() || takes_a_path(option))) action = "_files";
      const std::string behind =
          option.value.empty() ? "" : fmt::format(":{}:{}", zsh_text(option.value), action);
      for (const std::string& flag : option.flags)
        specs += fmt::format(" \\\n        '*{}[{}]{}'", flag, zsh_text(option.help), behind);
      if (option.flags.empty())
        specs += fmt::format(" \\\n        '*:{}:{}'", zsh_text(option.name), action);
    }
    cases += fmt::format("      {}) _arguments{} ;;\n", command.name, specs);
  }
  return fmt::format(R"(#compdef attnfuzz
# zsh completion of attnfuzz, made by `attnfuzz completion zsh`
_attnfuzz() {{
  local -a commands
  commands=(
{}  )
  _arguments -C '--help[Print help]' '--version[Print the version]' '1:command:->command' '*::arguments:->arguments'
  case $state in
    command) _describe command commands ;;
    arguments) case $words[1] in
{}    esac ;;
  esac
}}
_attnfuzz "$@"
)",
                     list, cases);
}

struct Shell {
  std::string_view name;
  std::string (*script)(const std::vector<CommandHelp>&);
};
constexpr Shell shells[] = {{"bash", bash}, {"zsh", zsh}};

std::vector<std::string> shell_names() {
  std::vector<std::string> names;
  for (const Shell& each : shells) names.emplace_back(each.name);
  return names;
}

}  // namespace

void add_completion(CLI::App& app, int& exit_code) {
  const auto shell = std::make_shared<std::string>();
  app.add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember(shell_names()));
  app.footer(
      "bash: source <(attnfuzz completion bash)\n"
      "zsh:  attnfuzz completion zsh > \"${fpath[1]}/_attnfuzz\"");
  app.callback([&app, shell, &exit_code] {
    for (const Shell& each : shells)
      if (each.name == *shell) fmt::print("{}", each.script(command_help(app)));
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
