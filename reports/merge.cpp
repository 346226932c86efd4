#include "reports/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "fuzz/known.h"
#include "reports/environment.h"
#include "reports/summary.h"

namespace attnfuzz {
namespace {

namespace fs = std::filesystem;

class Merger {
 public:
  void add(const fs::path& dir) {
    RunRecord run = read_run(dir);
    if (run.finished)
      add(run.report, dir);
    else
      merged_.unfinished.push_back(dir.string());
    for (Report::Item& item : run.report.items) items_.push_back(std::move(item));
  }

  Merged finish() {
    Report& report = merged_.report;
    report.environment = environment_text();
    report.targets.assign(targets_.begin(), targets_.end());
    for (const auto& each : absent_)  // on all machines
      if (!targets_.contains(each.first)) report.absent.push_back(each);
    report.options.shard = 0;
    merged_.missing = merged_.report.options.shards - shards_.size();
    report.options.shards = 1;
    merged_.run = fmt::format("{} seed {}", report.version, report.options.seed);
    for (const auto& [target, stats] : targets_)
      merged_.run += fmt::format(" {} {}", target, stats.cases);
    add_items();
    return std::move(merged_);
  }

 private:
  void add(const Report& summary, const fs::path& dir) {
    CampaignOptions& options = merged_.report.options;
    if (shards_.empty()) {
      options = summary.options;
      merged_.report.version = summary.version;
    }
    if (std::tie(summary.options.seed, summary.options.shards, summary.version) !=
        std::tie(options.seed, options.shards, merged_.report.version))
      throw InputError(
          dir.string(), "",
          fmt::format("expected a shard of {} of version {} with seed {}, as in {}", options.shards,
                      merged_.report.version, options.seed, shards_.begin()->second));
    const auto [known, fresh] = shards_.emplace(summary.options.shard, dir.string());
    if (!fresh)
      throw InputError(dir.string(), "",
                       fmt::format("expected each shard once; {} is shard {} too", known->second,
                                   summary.options.shard + 1));
    for (const auto& [target, stats] : summary.targets) targets_[target] += stats;
    for (const auto& [target, why] : summary.absent) absent_.emplace(target, why);
  }

  /// In the order in which one process would have met them: the corpus, then case by case.
  void add_items() {
    std::sort(items_.begin(), items_.end(), [](const Report::Item& a, const Report::Item& b) {
      const auto key = [](const Finding& f) {
        return std::tuple(f.target, f.corpus.empty(), f.corpus, f.index, f.signature);
      };
      return key(a.finding) < key(b.finding);
    });
    std::map<std::string, KnownFailures> known;
    for (Report::Item& item : items_) {
      CampaignStats counted;
      const bool fresh = known[item.finding.target].add(item.finding, counted);
      const std::string& signature = counted.signatures.begin()->first;
      if (fresh) {
        merged_.report.items.push_back(std::move(item));
        continue;
      }
      Report::Item& first = *merged_.report.find(item.finding.target, signature);
      first.finding.count += item.finding.count;
      first.first_seen = std::min(first.first_seen, item.first_seen);
      first.last_seen = std::max(first.last_seen, item.last_seen);
      first.known = first.known && item.known;
    }
  }

  Merged merged_;
  std::vector<Report::Item> items_;
  std::map<std::string, CampaignStats> targets_;
  std::map<std::string, std::string> absent_;
  std::map<uint64_t, std::string> shards_;  ///< the folder of each
};

}  // namespace

Merged merge_runs(const std::vector<fs::path>& dirs) {
  Merger merger;
  for (const fs::path& dir : dirs) merger.add(dir);
  return merger.finish();
}

}  // namespace attnfuzz
