#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "fuzz/judge.h"
#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/report.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {

void add_repro(CLI::App& app, int& exit_code) {
  struct Options {
    std::string file, target, out;
  };
  const auto options = std::make_shared<Options>();
  app.add_option("case", options->file, "The failing case")->required();
  app.add_option("-t,--target", options->target, "The target it fails on")->required();
  app.add_option("-o,--out", options->out, "File to write (default: stdout)");
  app.callback([options, &exit_code] {
    const CaseFile file = read_case(options->file);
    const std::unique_ptr<Target> target =
        TargetOptions().open_for(options->target, file.c, options->file);
    const TargetInfo& info = target->info();
    const Repro repro = make_repro(file.c, info);
    if (repro.text.empty())
      throw InputError(options->target, "", "expected a target that a repro can be written for");
    if (options->out.empty())
      fmt::print("{}", repro.text);
    else
      write_text(options->out, repro.text);
    if (!examine(*target, file.c).verdict.failed())
      spdlog::warn("{} passes on {} {} here: what the program says of a failure does not hold",
                   options->file, info.name, info.version);
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
