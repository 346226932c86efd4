#include <fmt/format.h>

#include "reports/text.h"
#include "targets/remote.h"
#include "tools/attnfuzz/campaign_run.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  CampaignFlags flags;
  std::string time, corpus;
  bool no_corpus = false;
};

int run_all(Options& options) {
  CampaignFlags& flags = options.flags;
  write_at_second_interrupt();
  const std::vector<std::unique_ptr<Target>> targets = flags.prepare();
  if (!options.time.empty()) flags.campaign.seconds = parse_duration(options.time, "--time");
  if (options.corpus.empty()) options.corpus = attnfuzz_home() + "/corpus";
  if (!options.no_corpus && !std::filesystem::is_directory(options.corpus))
    throw InputError(options.corpus, "", "expected a folder of cases");
  const std::vector<CorpusCase> corpus =
      options.no_corpus ? std::vector<CorpusCase>() : read_corpus(options.corpus);

  Session session(flags.out, flags.quiet, {}, flags.store);
  session.report.options = flags.campaign;
  for (size_t k = 0; k < targets.size(); ++k) {
    run_target(*targets[k], flags.targets[k], flags, corpus, session);
    if (*flags.campaign.interrupt) break;
  }
  flags.tell_absent(session);
  session.write(flags.formats);
  if (!flags.quiet)
    fmt::print("{}; reports in {}\n",
               text::count(static_cast<int64_t>(session.report.items.size()), "finding"),
               flags.out);
  const bool clean = session.report.items.empty() && !session.lost_failures();
  return clean ? exit_without_findings(session) : findings;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  o->flags.formats = {"md", "json", "html", "junit", "sarif"};
  app.add_option("--cases", o->flags.campaign.cases, "How many cases for each target")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--time", o->time, "A time for each target instead: 60s, 5m, 2h")
      ->excludes("--cases");
  app.add_option("--corpus", o->corpus,
                 "Folder of cases to replay first (default: the shipped one)");
  app.add_flag("--no-corpus", o->no_corpus, "Do not replay the corpus");
  app.add_option("--stop-after", o->flags.campaign.stop_after,
                 "Stop a target at this many findings")
      ->check(whole_number());
  o->flags.add(app);
  app.callback([o, &exit_code] { exit_code = run_all(*o); });
}

}  // namespace attnfuzz::cli
