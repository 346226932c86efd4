#pragma once
#include <string>
#include <vector>

#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

/// What the command line says of itself, for the manual page and the shells' completion.
struct OptionHelp {
  std::vector<std::string> flags;  ///< "-t", "--target"; empty: a positional argument
  std::string name;                ///< "--target"; "case" of a positional
  std::string value;               ///< what stands behind it: "TEXT"; empty: a flag
  std::string help;
  std::string standard;  ///< the default, empty: none
  bool required = false;
};
struct CommandHelp {
  std::string name, help;
  std::vector<OptionHelp> options;
  std::vector<CommandHelp> commands;  ///< below it: `attnfuzz corpus stats`
};

/// The commands that are not hidden, in the order of `attnfuzz --help`. `app`: any app of the tree.
std::vector<CommandHelp> command_help(const CLI::App& app);

}  // namespace attnfuzz::cli
