#include <fmt/format.h>

#include "reports/diagnose.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_causes(CLI::App& app, int& exit_code) {
  app.callback([&exit_code] {
    for (const CauseEntry& cause : cause_table())
      fmt::print("{:<34} {}\n", cause.name, cause.words);
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
