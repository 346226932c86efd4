#pragma once
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "tools/attnfuzz/relation_options.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {

/// What `run` and `ci` have in common: targets, each of which replays a corpus and then meets new
/// cases, findings that are reported at once.
struct CampaignFlags {
  TargetOptions open;
  std::vector<std::string> targets, formats;
  std::string shard = "1/1", out = "attnfuzz-out", store;
  CampaignOptions campaign;
  RelationOptions relations;
  std::vector<std::pair<std::string, std::string>> absent;  ///< and why
  int jobs = 1;
  bool quiet = false;

  void add(CLI::App& app);
  /// Reads the flags' words (--shard), sets up Ctrl-C and opens the targets: tells at once which is
  /// not there. Those that can't be run on this machine go from `targets` to `absent`.
  std::vector<std::unique_ptr<Target>> prepare();
  /// Says which targets are absent, and notes them in the session's report.
  void tell_absent(Session& session) const;
};

/// A case of the corpus and its file's name below the corpus's folder.
struct CorpusCase {
  std::string name;
  Case c;
};
std::vector<CorpusCase> read_corpus(const std::string& dir);

/// The exit code of a campaign without findings: that it was interrupted, or tested nothing, is no
/// pass and is told.
int exit_without_findings(const Session& session);

/// Prints how many goals were reached, and which were not.
void tell_reach(const Reach& reach);

/// The shard's part of the corpus and then of the campaign, on one target, opened by this name. A
/// time budget is for both; the corpus is replayed whole whatever it takes.
void run_target(Target& target, const std::string& name, const CampaignFlags& flags,
                const std::vector<CorpusCase>& corpus, Session& session);

}  // namespace attnfuzz::cli
