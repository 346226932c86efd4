#pragma once
#include <memory>
#include <string>
#include <vector>

#include "fuzz/replayable.h"
#include "reports/baseline.h"
#include "reports/report.h"
#include "reports/store.h"

namespace attnfuzz::cli {

/// What `run`, `replay` and `shrink` share: findings are diagnosed, stored, printed and written out
/// the moment they come, so that nothing is lost whatever happens next.
class Session {
 public:
  /// `out` empty: nothing is written to disk.
  /// `store`: another one to add findings to, besides the folder's own; empty: none.
  Session(std::filesystem::path out, bool quiet, Baseline baseline = {},
          const std::string& store = {});

  void add(const Finding& finding);
  /// After a campaign: how many of its cases failed with each finding's signature.
  void count(const std::string& target, const CampaignStats& stats);
  /// How many findings are not in the baseline.
  /// Whether a run was cut off before any of a target's failures became a finding.
  bool lost_failures() const;
  /// Writes summary.json, the findings' folders and `formats` under the out folder.
  void write(std::span<const std::string> formats);

  Report report;

 private:
  std::filesystem::path out_;
  bool quiet_;
  Baseline baseline_;
  void save(const Report::Item& item);
  /// Moves an earlier run's findings out of the way of this one's.
  void set_earlier_aside();

  std::unique_ptr<Store> store_, shared_;
};

/// The examination of one case as a finding: shrunk when `max_tries` > 0.
Finding make_finding(Target& target, const Case& c, Examination first,
                     const ReplayableOptions& options);

}  // namespace attnfuzz::cli
