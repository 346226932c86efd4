#include "fuzz/campaign.h"

#include <algorithm>

#include "fuzz/clock.h"
#include "fuzz/history.h"
#include "fuzz/known.h"
#include "fuzz/reach/sequence.h"
#include "fuzz/replayable.h"
#include "targets/given_up.h"
#include "targets/wrapped_target.h"

namespace attnfuzz {
namespace {

/// Every so many cases one is run twice, to see whether the bits are the same.
constexpr uint64_t run_twice_every = 16;

/// Adds up what the target takes.
class Timed final : public PassingTarget {
 public:
  using PassingTarget::PassingTarget;
  Outcome run(const Case& c, const Inputs& inputs) override {
    const Clock::time_point start = Clock::now();
    Outcome outcome = PassingTarget::run(c, inputs);
    const double waited = seconds_since(start);
    // A worker knows better, but it may say anything.
    const bool told = outcome.seconds > 0 && outcome.seconds < waited;
    seconds_ += told ? outcome.seconds : waited;
    return outcome;
  }
  double seconds() const { return seconds_; }

 private:
  double seconds_ = 0;
};

}  // namespace

CampaignStats& CampaignStats::operator+=(const CampaignStats& other) {
  cases += other.cases;
  passed += other.passed;
  failed += other.failed;
  skipped += other.skipped;
  seconds = std::max(seconds, other.seconds);
  timed_cases += other.timed_cases;
  judged_seconds += other.judged_seconds;
  target_seconds += other.target_seconds;
  worst_ratio = std::max(worst_ratio, other.worst_ratio);
  for (const auto& [feature, count] : other.features) features[feature] += count;
  for (const auto& [signature, count] : other.signatures) signatures[signature] += count;
  merge(reach, other.reach);
  interrupted |= other.interrupted;
  return *this;
}

void CampaignStats::count(const Case& c, const Verdict& verdict) {
  ++cases;
  passed += verdict.kind == VerdictKind::pass;
  failed += verdict.kind == VerdictKind::fail;
  skipped += verdict.kind == VerdictKind::skip;
  if (verdict.kind == VerdictKind::pass) worst_ratio = std::max(worst_ratio, verdict.worst_ratio);
  for (const std::string& feature : attnfuzz::features(c)) ++features[feature];
  if (verdict.relation != nullptr) ++features["relation:" + std::string(verdict.relation->name)];
}

double CampaignStats::overhead_of_case() const {
  return timed_cases == 0 ? 0
                          : (judged_seconds - target_seconds) / static_cast<double>(timed_cases);
}

double CampaignStats::overhead_share() const {
  return judged_seconds > 0 ? 1 - target_seconds / judged_seconds : 0;
}

Judged judge_case(Target& target, Sequence& sequence, const CampaignOptions& options,
                  uint64_t index) {
  Judged judged;
  judged.c = sequence(index);
  judged.examination = examine_with(target, judged.c, options.relations,
                                    index % run_twice_every == 0, static_cast<size_t>(index), 1);
  return judged;
}

Judged judge_timed(Target& target, Sequence& sequence, const CampaignOptions& options,
                   uint64_t index, CampaignStats& stats) {
  const Clock::time_point start = Clock::now();
  Timed timed(target);
  Judged judged = judge_case(timed, sequence, options, index);
  ++stats.timed_cases;
  stats.judged_seconds += seconds_since(start);
  stats.target_seconds += timed.seconds();
  return judged;
}

std::vector<Case> earlier_cases(Sequence& sequence, const CampaignOptions& options, uint64_t index,
                                uint64_t most, uint64_t stride) {
  std::vector<Case> earlier;
  for (uint64_t k = std::min(most, (index - options.shard) / stride); k > 0; --k)
    earlier.push_back(sequence(index - k * stride));
  return earlier;
}

Finding finding_of(const TargetInfo& target, uint64_t seed, uint64_t index, Judged judged) {
  Finding finding;
  finding.target = target.name;
  finding.version = target.version;
  finding.seed = seed;
  finding.index = index;
  finding.signature = judged.examination.signature;
  finding.original = finding.shrunk.c = std::move(judged.c);
  finding.first = std::move(judged.examination);
  finding.last = finding.first;
  finding.learned = classify(finding.original, finding.first.verdict);
  return finding;
}

CampaignStats run_campaign(Target& target, const CampaignOptions& options,
                           const CampaignEvents& events) {
  const Clock::time_point start = Clock::now();
  Sequence sequence(target.info().capabilities, options.seed);
  ReachCounter reach(sequence.goals());
  KnownFailures known;
  CampaignStats stats;
  target.restart();                // what ran before is no case of this campaign
  uint64_t first = options.shard;  // of the cases that the target's process has run
  try {
    for (uint64_t index = options.shard; options.seconds > 0 || index < options.cases;
         index += options.shards) {
      stats.interrupted = options.interrupt != nullptr && *options.interrupt;
      stats.seconds = seconds_since(start);
      if (stats.interrupted || (options.seconds > 0 && stats.seconds >= options.seconds)) break;
      Judged judged = judge_timed(target, sequence, options, index, stats);
      stats.count(judged.c, judged.examination.verdict);
      if (judged.examination.verdict.kind != VerdictKind::skip) reach.count(judged.c, stats.reach);
      if (judged.examination.verdict.failed() &&
          !known.count(judged.examination.signature, classify(judged.c, judged.examination.verdict),
                       stats)) {
        Finding finding = finding_of(target.info(), options.seed, index, std::move(judged));
        const Stop stop = stop_at(options.interrupt);
        const History history(sequence, options, first, index, options.shards);
        shrink_or_give_up(
            target, finding,
            {options.max_shrink_tries, stop, [&](uint64_t most) { return history.cases(most); },
             [&] { return history.runs(target, stop); }, &known, options.max_diagnose},
            [&](const Finding& found) {
              if (known.add(found, stats) && events.finding) events.finding(found);
            });
        // What shrinking ran is no case of the campaign: it must not be what later ones come after.
        if (target.restart()) first = index + options.shards;
        if (known.add(finding, stats) && events.finding) events.finding(finding);
      }
      stats.seconds = seconds_since(start);
      if (events.progress) events.progress(stats);
      if (options.stop_after > 0 && known.size() >= options.stop_after) break;
    }
  } catch (const GivenUp&) {
    stats.interrupted = true;
    stats.seconds = seconds_since(start);
  }
  return stats;
}

}  // namespace attnfuzz
