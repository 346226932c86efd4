#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "reports/summary.h"
#include "reports/text.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {

void add_report(CLI::App& app, int& exit_code) {
  struct Options {
    std::string dir;
    std::vector<std::string> formats = {"md"};
    bool exit_zero = false;
  };
  const auto options = std::make_shared<Options>();
  app.add_option("dir", options->dir, "The --out folder of a run")->required();
  app.add_option("--format", options->formats,
                 "md, html, junit, sarif, json, issue; comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--exit-zero", options->exit_zero, "Exit with 0 when the reports are written");
  app.callback([options, &exit_code] {
    const RunRecord run = read_run(options->dir);
    if (!run.finished)
      spdlog::warn("{}: the run was killed: its findings alone are told", options->dir);
    write_formats(run.report, options->dir, options->formats);
    fmt::print("{} written to {}\n",
               text::count(static_cast<int64_t>(run.report.items.size()), "finding"), options->dir);
    const bool clean = run.report.new_findings() == 0 || options->exit_zero;
    exit_code = clean ? nothing_found : findings;
  });
}

}  // namespace attnfuzz::cli
