#include <fmt/format.h>

#include "fuzz/campaign.h"
#include "fuzz/jobs.h"
#include "oracle/case_io.h"
#include "targets/remote.h"
#include "targets/target.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/relation_options.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {

namespace fs = std::filesystem;

namespace {

struct Options {
  TargetOptions open;
  RelationOptions relations;
  std::vector<std::string> targets, formats = {"md", "json", "html", "junit", "sarif"};
  std::string time, shard = "1/1", corpus, out = "attnfuzz-out";
  CampaignOptions campaign;
  int jobs = 1;
  bool no_corpus = false, quiet = false;
};

void parse_shard(const std::string& text, CampaignOptions& campaign) {
  unsigned long long index = 0, count = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%llu/%llu%n", &index, &count, &used) != 2 ||
      static_cast<size_t>(used) != text.size() || index < 1 || index > count)
    throw InputError("--shard", "", "expected i/n with 1 ≤ i ≤ n, found \"" + text + "\"");
  campaign.shard = index - 1;
  campaign.shards = count;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Writer& writer : writers()) names.emplace_back(writer.format);
  return names;
}

/// A case of the corpus and its file's name below the corpus's folder.
struct CorpusCase {
  std::string name;
  Case c;
};

std::vector<CorpusCase> read_corpus(const std::string& dir) {
  std::vector<CorpusCase> corpus;
  for (const fs::path& file : corpus_files(dir))
    corpus.push_back({fs::relative(file, dir).string(), read_case(file.string()).c});
  return corpus;
}

/// The corpus cases that the target claims, judged first; each failing signature becomes a finding.
void replay_corpus(Target& target, const std::vector<CorpusCase>& corpus, const Options& options,
                   Session& session, CampaignStats& stats) {
  uint64_t at = 0;
  for (const CorpusCase& each : corpus) {
    if (!target.info().capabilities.why_not(each.c).empty()) continue;
    if (at++ % options.campaign.shards != options.campaign.shard) continue;
    if (interrupt_flag()) return;
    Examination exam = examine_with(target, each.c, options.campaign.relations);
    stats.count(each.c, exam.verdict);
    if (!exam.verdict.failed()) continue;
    if (Report::Item* known = session.report.find(target.info().name, exam.signature)) {
      ++known->finding.count;
      continue;
    }
    Finding finding =
        make_finding(target, each.c, std::move(exam), options.campaign.max_shrink_tries);
    finding.corpus = each.name;
    session.add(finding);
  }
}

/// In processes of its own where one would not do, or where the target could take attnfuzz down.
CampaignStats campaign(Target& target, const std::string& name, const Options& options,
                       const CampaignEvents& events) {
  if (options.jobs == 1 && !target.info().trusted)
    return run_campaign(target, options.campaign, events);
  return run_campaign_jobs([&] { return options.open.open(name); }, options.campaign, options.jobs,
                           events);
}

int run_all(Options& options) {
  std::vector<std::unique_ptr<Target>> targets;
  for (const std::string& name : options.targets) targets.push_back(options.open.open(name));
  parse_shard(options.shard, options.campaign);
  options.campaign.relations = options.relations.chosen();
  if (!options.time.empty()) options.campaign.seconds = parse_duration(options.time, "--time");
  options.campaign.interrupt = &interrupt_flag();
  if (options.corpus.empty()) options.corpus = attnfuzz_home() + "/corpus";

  const std::vector<CorpusCase> corpus =
      options.no_corpus ? std::vector<CorpusCase>() : read_corpus(options.corpus);

  Session session(options.out, options.quiet);
  session.report.options = options.campaign;
  for (size_t k = 0; k < targets.size(); ++k) {
    const std::unique_ptr<Target>& target = targets[k];
    const std::string& name = options.targets[k];
    const TargetInfo& info = target->info();
    CampaignStats total;
    replay_corpus(*target, corpus, options, session, total);
    Progress progress(info.name, options.campaign, options.quiet);
    CampaignEvents events;
    events.progress = [&](const CampaignStats& stats) { progress.update(stats); };
    events.finding = [&](const Finding& finding) {
      progress.clear();
      progress.found();
      session.add(finding);
    };
    total += campaign(*target, name, options, events);
    progress.clear();
    session.count(info.name, total);
    session.report.targets.emplace_back(info.name, total);
    if (!options.quiet)
      fmt::print(
          "{} {}: {} cases in {:.1f} s ({:.0f} cases/s), {} passed, {} failed, {} declined\n",
          info.name, info.version, total.cases, total.seconds,
          static_cast<double>(total.cases) / std::max(total.seconds, 1e-9), total.passed,
          total.failed, total.skipped);
    if (interrupt_flag()) break;
  }
  session.write(options.formats);
  if (!options.quiet)
    fmt::print("{} finding{}; reports in {}\n", session.report.items.size(),
               session.report.items.size() == 1 ? "" : "s", options.out);
  return session.report.items.empty() ? nothing_found : findings;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  app.add_option("-t,--target", o->targets,
                 "What to test: a name from `attnfuzz targets`, or a plug-in's path; repeatable")
      ->required();
  app.add_option("--cases", o->campaign.cases, "How many cases for each target")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--time", o->time, "A time for each target instead: 60s, 5m, 2h")
      ->excludes("--cases");
  app.add_option("--seed", o->campaign.seed, "The same seed gives the same campaign")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("-j,--jobs", o->jobs, "Processes to use; the findings do not depend on it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--shard", o->shard, "Run part i of n only: i/n with 1 ≤ i ≤ n")
      ->capture_default_str();
  app.add_option("-o,--out", o->out, "Folder for the findings and reports")->capture_default_str();
  app.add_option("--format", o->formats, "Reports to write besides summary.json")
      ->delimiter(',')
      ->check(CLI::IsMember(format_names()))
      ->capture_default_str();
  app.add_option("--corpus", o->corpus,
                 "Folder of cases to replay first (default: the shipped one)");
  app.add_flag("--no-corpus", o->no_corpus, "Do not replay the corpus");
  app.add_option("--stop-after", o->campaign.stop_after, "Stop a target at this many findings")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-shrink-tries", o->campaign.max_shrink_tries,
                 "Runs that shrinking one finding may cost")
      ->capture_default_str();
  app.add_flag("-q,--quiet", o->quiet, "Print nothing but errors");
  o->open.add(app);
  o->relations.add(app);
  app.callback([o, &exit_code] { exit_code = run_all(*o); });
}

}  // namespace attnfuzz::cli
