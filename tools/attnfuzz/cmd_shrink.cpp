#include <fmt/format.h>

#include "oracle/case_io.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/relation_options.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  RelationOptions relations;
  std::string file, target, out;
  int64_t max_tries = 20000;
};

int shrink_file(const Options& options) {
  const CaseFile file = read_case(options.file);
  const std::unique_ptr<Target> target =
      options.open.open_for(options.target, file.c, options.file);
  Examination exam = examine_with(*target, file.c, options.relations.chosen(), true);
  if (!exam.verdict.failed()) {
    fmt::print(stderr, "{} passes on {}: nothing to shrink\n", options.file, options.target);
    return nothing_found;
  }
  const Finding finding = make_finding(*target, file.c, std::move(exam),
                                       {options.max_tries, stop_at(&interrupt_flag())});
  for (const std::string& step : finding.shrunk.history) fmt::print(stderr, "  {}\n", step);
  fmt::print(stderr, "{} → {} ({} tries{})\n", one_line(finding.original),
             one_line(finding.shrunk.c), finding.shrunk.tried,
             finding.shrunk.minimal ? ", 1-minimal" : "; not yet minimal");
  const std::string text = write_case(finding.shrunk.c);
  if (options.out.empty())
    fmt::print("{}", text);
  else
    write_text(options.out, text);
  return findings;
}

}  // namespace

void add_shrink(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("case", options->file, "The failing case")->required();
  app.add_option("-t,--target", options->target, "The target it fails on")->required();
  app.add_option("-o,--out", options->out, "File for the shrunk case (default: stdout)");
  app.add_option("--max-tries", options->max_tries, "Runs that shrinking may cost")
      ->check(whole_number())
      ->capture_default_str();
  options->open.add(app);
  options->relations.add(app);
  app.callback([options, &exit_code] { exit_code = shrink_file(*options); });
}

}  // namespace attnfuzz::cli
