#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <fstream>

#include "fuzz/clock.h"
#include "reports/baseline.h"
#include "reports/text_file.h"
#include "reports/writers/writers.h"
#include "targets/remote.h"
#include "tools/attnfuzz/campaign_run.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  CampaignFlags flags;
  std::string budget = "60s", base, baseline;
  bool update_baseline = false;
};

Baseline known_findings(const Options& options) {
  if (options.baseline.empty()) return {};
  if (options.update_baseline && !fs::exists(options.baseline)) return {};
  return parse_baseline(read_text(options.baseline), options.baseline);
}

/// Where GitHub Actions wants a job's summary; other systems take job-summary.md from the folder.
void show_summary(const Report& report) {
  const char* file = std::getenv("GITHUB_STEP_SUMMARY");
  if (file == nullptr || *file == '\0') return;
  std::ofstream out(file, std::ios::app);
  if (!(out << write_job_summary(report)) || !out.flush())
    spdlog::warn("the job's summary can't be written to {}", file);
}

/// Each target's share of what is left of the budget.
void run_targets(const std::vector<std::unique_ptr<Target>>& targets, CampaignFlags& flags,
                 double budget, const std::vector<CorpusCase>& corpus, Session& session) {
  const Clock::time_point start = Clock::now();
  constexpr double least = 1e-3;  // 0 would be no limit
  for (size_t k = 0; k < targets.size(); ++k) {
    const double spent = seconds_since(start);
    flags.campaign.seconds =
        std::max(least, (budget - spent) / static_cast<double>(targets.size() - k));
    if (budget <= spent)
      spdlog::warn("{}: the budget is spent: only the corpus is replayed", flags.targets[k]);
    run_target(*targets[k], flags.targets[k], flags, corpus, session);
    if (*flags.campaign.interrupt) return;
  }
}

int run_job(Options& options) {
  CampaignFlags& flags = options.flags;
  const double budget = parse_duration(options.budget, "--budget");
  if (options.update_baseline && options.baseline.empty())
    throw InputError("--update-baseline", "", "expected --baseline FILE too");
  if (options.base.empty()) options.base = attnfuzz_home() + "/corpus";
  if (!fs::is_directory(options.base))
    throw InputError(options.base, "", "expected a folder of cases");
  const Baseline baseline = known_findings(options);
  const std::vector<CorpusCase> corpus = read_corpus(options.base);
  const std::vector<std::unique_ptr<Target>> targets = flags.prepare();

  Session session(flags.out, flags.quiet, baseline, flags.store);
  session.report.options = flags.campaign;
  run_targets(targets, flags, budget, corpus, session);
  flags.tell_absent(session);
  session.write(flags.formats);
  show_summary(session.report);
  if (options.update_baseline)
    write_text(options.baseline, write_baseline(baseline_of(session.report, baseline)));

  const size_t fresh = session.report.new_findings();
  if (!flags.quiet)
    fmt::print("{} new, {} known; reports in {}\n", fresh, session.report.items.size() - fresh,
               flags.out);
  const bool clean = fresh == 0 && !session.lost_failures();
  return clean || options.update_baseline ? exit_without_findings(session) : findings;
}

}  // namespace

void add_ci(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  o->flags.formats = {"md", "json", "html", "junit", "sarif", "job-summary"};
  app.add_option("--budget", o->budget, "Time for all targets together: 60s, 5m, 2h")
      ->capture_default_str();
  app.add_option("--base", o->base,
                 "Folder of cases that must never fail again, replayed first (default: the "
                 "shipped corpus)");
  app.add_option("--baseline", o->baseline,
                 "File of known findings, which are reported but do not fail the job");
  app.add_flag("--update-baseline", o->update_baseline,
               "Write all findings of this run to the baseline, and exit with 0");
  o->flags.add(app);
  app.callback([o, &exit_code] { exit_code = run_job(*o); });
}

}  // namespace attnfuzz::cli
