#include <fmt/format.h>

#include <filesystem>

#include "targets/remote.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_include(CLI::App& app, int& exit_code) {
  app.callback([&exit_code] {
    const std::filesystem::path home = attnfuzz_home();
    const bool installed = std::filesystem::exists(home / "include" / "targets");
    fmt::print("{}\n", (installed ? home / "include" : home).string());
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
