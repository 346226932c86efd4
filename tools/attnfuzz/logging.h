#pragma once
#include <CLI/CLI.hpp>

namespace attnfuzz::cli {

/// --log-level and --log-file, for all subcommands: what happens beside the results (workers that
/// die and start again, cases that kill a process, a budget that is spent), on stderr or in a file.
void add_logging(CLI::App& app);

}  // namespace attnfuzz::cli
