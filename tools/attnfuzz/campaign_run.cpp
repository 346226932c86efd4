#include "tools/attnfuzz/campaign_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <charconv>

#include "fuzz/clock.h"
#include "fuzz/jobs.h"
#include "fuzz/known.h"
#include "fuzz/reach/dead_claims.h"
#include "fuzz/reach/sequence.h"
#include "oracle/case_io.h"
#include "reports/reach_text.h"
#include "targets/given_up.h"
#include "targets/no_device.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

void parse_shard(const std::string& text, CampaignOptions& campaign) {
  constexpr uint64_t most = uint64_t{1} << 20;
  uint64_t index = 0, count = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, index);
  if (first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, count);
    if (second.ec != std::errc{} || second.ptr != end) count = 0;
  }
  if (first.ec != std::errc{} || index < 1 || index > count || count > most)
    throw InputError("--shard", "",
                     fmt::format("expected i/n with 1 ≤ i ≤ n ≤ {}, found \"{}\"", most, text));
  campaign.shard = index - 1;
  campaign.shards = count;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Writer& writer : writers()) names.emplace_back(writer.format);
  return names;
}

/// The last but one and those before it, at most so many.
std::vector<Case> last_of(const std::vector<Case>& replayed, uint64_t most) {
  const auto end = replayed.end() - 1;
  return {end - static_cast<std::ptrdiff_t>(std::min<uint64_t>(most, replayed.size() - 1)), end};
}

/// The corpus cases that the target claims, judged first; each failure becomes a finding.
CampaignStats replay_corpus(Target& target, const std::vector<CorpusCase>& corpus,
                            const CampaignOptions& campaign, const std::vector<Goal>& goals,
                            Session& session) {
  const Clock::time_point start = Clock::now();
  KnownFailures known;
  CampaignStats stats;
  ReachCounter reach(goals);
  std::vector<Case> replayed;
  uint64_t at = 0;
  const auto tell = [&](Finding finding, const std::string& name) {
    finding.corpus = name;
    if (known.add(finding, stats)) session.add(finding);
  };
  const auto replay = [&](const CorpusCase& each) {
    Examination exam = examine_with(target, each.c, campaign.relations, true);
    stats.count(each.c, exam.verdict);
    if (exam.verdict.kind != VerdictKind::skip) reach.count(each.c, stats.reach);
    replayed.push_back(each.c);
    if (!exam.verdict.failed() ||
        known.count(exam.signature, classify(each.c, exam.verdict), stats))
      return;
    Finding finding = finding_of(target.info(), 0, 0, {each.c, std::move(exam)});
    if (campaign.max_shrink_tries > 0)
      shrink_or_give_up(target, finding,
                        {campaign.max_shrink_tries,
                         stop_at(campaign.interrupt),
                         [&](uint64_t most) { return last_of(replayed, most); },
                         {},
                         &known,
                         campaign.max_diagnose},
                        [&](const Finding& found) { tell(found, each.name); });
    tell(std::move(finding), each.name);
  };
  try {
    for (const CorpusCase& each : corpus) {
      if (!target.info().capabilities.rejection_reason(each.c).empty()) continue;
      if (at++ % campaign.shards != campaign.shard) continue;
      if (campaign.interrupt != nullptr && *campaign.interrupt) break;
      replay(each);
    }
  } catch (const GivenUp&) {
    stats.interrupted = true;
  }
  stats.seconds = seconds_since(start);
  return stats;
}

/// In processes of its own where one would not do, or where the target could take attnfuzz down.
CampaignStats new_cases(Target& target, const std::string& name, const CampaignFlags& flags,
                        const CampaignOptions& options, const CampaignEvents& events) {
  if (flags.jobs == 1 && !target.info().trusted) return run_campaign(target, options, events);
  return run_campaign_jobs([&] { return flags.open.open(name); }, options, flags.jobs, events);
}

}  // namespace

void tell_reach(const Reach& reach) {
  constexpr size_t most_lines = 5;
  if (!reach.empty()) fmt::print("  {}\n", reach_headline(reach));
  for (const std::string& goals : missed_goals(reach, most_lines))
    fmt::print("  not reached: {}\n", goals);
}

void CampaignFlags::add(CLI::App& app) {
  app.add_option("-t,--target", targets,
                 "What to test: a name from `attnfuzz targets`, or a plug-in's path; repeatable")
      ->required();
  app.add_option("--seed", campaign.seed, "The same seed gives the same campaign")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("-j,--jobs", jobs, "Processes to use; the findings do not depend on it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--shard", shard, "Run only part i of n of the campaign: i/n with 1 ≤ i ≤ n")
      ->capture_default_str();
  app.add_option("-o,--out", out, "Folder for the findings and reports")->capture_default_str();
  app.add_option("--store", store,
                 "Add each finding at once to this store too: a file, or postgresql://host/name");
  app.add_option("--format", formats, "Reports to write besides summary.json")
      ->delimiter(',')
      ->check(CLI::IsMember(format_names()))
      ->capture_default_str();
  app.add_option(
         "--max-diagnose", campaign.max_diagnose,
         "Seconds that experiments on the target may take for each finding; 0: no experiments")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-shrink-tries", campaign.max_shrink_tries,
                 "Runs that shrinking one finding may cost")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag("-q,--quiet", quiet, "Print nothing but errors");
  open.add(app);
  relations.add(app);
}

std::vector<std::unique_ptr<Target>> CampaignFlags::prepare() {
  parse_shard(shard, campaign);
  campaign.interrupt = &interrupt_flag();
  campaign.relations = relations.chosen();
  std::vector<std::unique_ptr<Target>> opened;
  std::vector<std::string> here;
  for (const std::string& name : targets) {
    try {
      opened.push_back(open.open(name));
      here.push_back(name);
    } catch (const NoDevice& e) {
      absent.emplace_back(name, e.why);
    }
  }
  targets = std::move(here);
  return opened;
}

void CampaignFlags::tell_absent(Session& session) const {
  session.report.absent = absent;
  if (quiet) return;
  for (const auto& [name, why] : absent)
    fmt::print("{}: skipped, no case was run: {}\n", name, why);
  if (!absent.empty())
    fmt::print("{} target{} skipped\n", absent.size(), absent.size() == 1 ? "" : "s");
}

std::vector<CorpusCase> read_corpus(const std::string& dir) {
  std::vector<CorpusCase> corpus;
  for (const fs::path& file : corpus_files(dir))
    corpus.push_back({fs::relative(file, dir).string(), read_case(file.string()).c});
  return corpus;
}

int exit_without_findings(const Session& session) {
  bool interrupted = false,
       tested = !session.report.absent.empty() && session.report.targets.empty();
  for (const auto& [name, stats] : session.report.targets) {
    interrupted |= stats.interrupted;
    tested |= stats.passed + stats.failed > 0;
  }
  if (interrupted) {
    spdlog::error("interrupted before the end: this is no pass");
    return was_interrupted;
  }
  if (tested || session.report.options.shards > 1) return nothing_found;  // a part may be empty
  spdlog::error("nothing was tested: this is no pass");
  return own_failure;
}

void run_target(Target& target, const std::string& name, const CampaignFlags& flags,
                const std::vector<CorpusCase>& corpus, Session& session) {
  const TargetInfo& info = target.info();
  CampaignOptions options = flags.campaign;
  Sequence sequence(info.capabilities, options.seed);
  for (const std::string& claim : dead_claims(sequence.claims(), sequence.unusable()))
    spdlog::warn("{}: {}", info.name, claim);
  CampaignStats total = replay_corpus(target, corpus, options, sequence.goals(), session);
  const bool time_left =
      !total.interrupted && (options.seconds == 0 || total.seconds < options.seconds);
  if (options.seconds > 0) options.seconds -= total.seconds;
  Progress progress(info.name, options, flags.quiet);
  CampaignEvents events;
  events.progress = [&](const CampaignStats& stats) {
    give_up_if_asked();
    progress.update(stats);
  };
  events.finding = [&](const Finding& finding) {
    progress.clear();
    progress.found();
    session.add(finding);
  };
  if (time_left) {
    CampaignStats fresh = new_cases(target, name, flags, options, events);
    fresh.seconds += total.seconds;  // one after the other, where += is of campaigns side by side
    total += fresh;
  }
  add_missed(sequence, options.seconds > 0 ? total.cases * options.shards : options.cases,
             total.reach);
  progress.clear();
  session.count(info.name, total);
  session.report.targets.emplace_back(info.name, total);
  if (!flags.quiet)
    fmt::print("{} {}: {} cases in {:.1f} s ({:.0f} cases/s), {} passed, {} failed, {} declined\n",
               info.name, info.version, total.cases, total.seconds,
               static_cast<double>(total.cases) / std::max(total.seconds, 1e-9), total.passed,
               total.failed, total.skipped);
  if (!flags.quiet && total.judged_seconds > 0)
    fmt::print(
        "  overhead (time not spent in the target): {:.0f} µs a case, {:.0f} % of the time\n",
        total.overhead_of_case() * 1e6, total.overhead_share() * 100);
  if (!flags.quiet) tell_reach(total.reach);
  if (total.interrupted)
    spdlog::warn("{}: interrupted after {} cases; what waited for its turn is not shrunk",
                 info.name, total.cases);
  else if (total.cases > 0 && total.skipped == total.cases)
    spdlog::warn("{}: every case was declined: nothing was tested", info.name);
}

}  // namespace attnfuzz::cli
