#include <fmt/format.h>

#include "oracle/case_io.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  std::vector<std::string> files, targets;
};

/// The targets named by -t, or those that the case file expects a verdict for.
std::vector<std::string> targets_for(const Options& options, const CaseFile& file,
                                     const std::string& where) {
  if (!options.targets.empty()) return options.targets;
  std::vector<std::string> names;
  for (const auto& [name, verdict] : file.expect)
    if (name.find('@') == std::string::npos) names.push_back(name);
  if (names.empty())
    throw InputError(where, "/expect", "expected targets to replay on; name some with -t");
  return names;
}

int replay(const Options& options) {
  int failed = 0, judged = 0;
  for (const std::string& path : options.files) {
    const CaseFile file = read_case(path);
    for (const std::string& name : targets_for(options, file, path)) {
      const std::unique_ptr<Target> target = options.open.open(name);
      const std::string outside = target->info().capabilities.why_not(file.c);
      if (!outside.empty()) {
        fmt::print("skip  {} on {}: outside what it claims: {}\n", path, name, outside);
        continue;
      }
      const Examination exam = examine(*target, file.c);
      ++judged;
      const Verdict& verdict = exam.verdict;
      if (!verdict.failed()) {
        fmt::print("{:<5} {} on {}{}\n", attnfuzz::name(verdict.kind), path, name,
                   verdict.detail.empty() ? "" : ": " + verdict.detail);
        continue;
      }
      ++failed;
      const Finding finding = make_finding(*target, file.c, exam, 0);
      fmt::print("fail  {} on {}\n", path, name);
      fmt::print("{}",
                 finding_terminal({finding, diagnose(finding), "", "", "", ""}, use_colour()));
    }
  }
  fmt::print("{} judged, {} failed\n", judged, failed);
  return failed > 0 ? findings : nothing_found;
}

}  // namespace

void add_replay(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("cases", options->files, "Case files (*.case.json or a finding's case.json)")
      ->required();
  app.add_option("-t,--target", options->targets,
                 "Targets to run them on (default: those that the file expects a verdict for)");
  options->open.add(app);
  app.callback([options, &exit_code] { exit_code = replay(*options); });
}

}  // namespace attnfuzz::cli
