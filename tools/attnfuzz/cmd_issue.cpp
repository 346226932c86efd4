#include <fmt/format.h>

#include "oracle/case_io.h"
#include "reports/environment.h"
#include "reports/issue.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  std::string file, target, bisect, out;
  int64_t max_tries = 2000;
  bool exit_zero = false;
};

/// The last line of a bisect's output that names a release.
std::string bisect_line(const std::string& file) {
  if (file.empty()) return "";
  const std::string text = read_text(file);
  const size_t at = std::max(text.rfind("broken in ") + 1, text.rfind("fixed in ") + 1);
  if (at == 0)
    throw InputError(file, "",
                     "expected the output of attnfuzz bisect, with its last line \"broken in …\"");
  return text.substr(at - 1, text.find('\n', at) - at + 1);
}

int write_issue(const Options& options) {
  const CaseFile file = read_case(options.file);
  const std::unique_ptr<Target> target =
      options.open.open_for(options.target, file.c, options.file);
  Examination exam = examine(*target, file.c);
  if (!exam.verdict.failed()) {
    fmt::print(stderr, "{} passes on {} {}: no issue to write\n", options.file, options.target,
               target->info().version);
    return nothing_found;
  }
  const Finding finding = make_finding(*target, file.c, std::move(exam),
                                       {options.max_tries, stop_at(&interrupt_flag())});
  const Report::Item item{finding, diagnose(finding), "", "", "", environment_text(options.target)};
  const std::string text = issue_markdown(item, {"", bisect_line(options.bisect)});
  if (options.out.empty())
    fmt::print("{}", text);
  else
    write_text(options.out, text);
  return options.exit_zero ? nothing_found : findings;
}

}  // namespace

void add_issue(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("case", options->file, "The failing case")->required();
  app.add_option("-t,--target", options->target, "The target it fails on")->required();
  app.add_option("--bisect", options->bisect, "What `attnfuzz bisect` printed, to be included");
  app.add_option("--max-tries", options->max_tries,
                 "Runs that shrinking the case may cost; 0: none")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("-o,--out", options->out, "File for the issue's text (default: stdout)");
  app.add_flag("--exit-zero", options->exit_zero, "Exit with 0 when the issue is written");
  options->open.add(app);
  app.callback([options, &exit_code] { exit_code = write_issue(*options); });
}

}  // namespace attnfuzz::cli
