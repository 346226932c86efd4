#include "tools/attnfuzz/command_help.h"

namespace attnfuzz::cli {
namespace {

OptionHelp option_help(const CLI::Option& option) {
  OptionHelp help;
  for (const std::string& name : option.get_snames()) help.flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) help.flags.push_back("--" + name);
  help.name = option.get_single_name();
  if (!help.flags.empty()) help.name = help.flags.back();
  if (option.get_type_size() != 0) help.value = option.get_type_name();
  help.help = option.get_description();
  help.standard = option.get_default_str();
  help.required = option.get_required();
  return help;
}

std::vector<CommandHelp> commands_below(const CLI::App& app) {
  std::vector<CommandHelp> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    CommandHelp help{command->get_name(), command->get_description(), {}, commands_below(*command)};
    for (const CLI::Option* option : command->get_options())
      if (!option->get_group().empty()) help.options.push_back(option_help(*option));
    commands.push_back(std::move(help));
  }
  return commands;
}

}  // namespace

std::vector<CommandHelp> command_help(const CLI::App& app) {
  const CLI::App* root = &app;
  while (root->get_parent() != nullptr) root = root->get_parent();
  return commands_below(*root);
}

}  // namespace attnfuzz::cli
