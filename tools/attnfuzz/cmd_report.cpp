#include <fmt/format.h>

#include "oracle/build.h"
#include "reports/environment.h"
#include "reports/report.h"
#include "reports/store.h"
#include "reports/text.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_report(CLI::App& app, int& exit_code) {
  struct Options {
    std::string dir;
    std::vector<std::string> formats = {"md"};
  };
  const auto options = std::make_shared<Options>();
  app.add_option("dir", options->dir, "The --out folder of a run")->required();
  app.add_option("--format", options->formats,
                 "md, html, junit, sarif, json, issue; comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  app.callback([options, &exit_code] {
    const std::filesystem::path store_file =
        std::filesystem::path(options->dir) / "findings.sqlite";
    if (!std::filesystem::exists(store_file))
      throw InputError(options->dir, "",
                       "expected the folder of a run (with findings.sqlite in it)");
    Report report;
    report.version = build::version();
    report.environment = environment_text();
    report.items = Store(store_file.string()).items();
    write_report(report, options->dir, options->formats);
    fmt::print("{} written to {}\n",
               text::count(static_cast<int64_t>(report.items.size()), "finding"), options->dir);
    exit_code = report.items.empty() ? nothing_found : findings;
  });
}

}  // namespace attnfuzz::cli
