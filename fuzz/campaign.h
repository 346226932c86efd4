#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fuzz/judge.h"
#include "fuzz/measure/statement.h"
#include "fuzz/reach/reached.h"
#include "fuzz/relations/relation.h"
#include "fuzz/shrink.h"
#include "fuzz/signature.h"
#include "targets/target.h"

namespace attnfuzz {

class Sequence;

/// A failing case after shrinking.
struct Finding {
  std::string target, version, signature;
  uint64_t seed = 0, index = 0;  ///< which case of which campaign; a corpus case: `corpus` is set
  std::string corpus;            ///< the file's name, for a replayed case
  Case original;
  std::vector<Case> before;  ///< cases that have to run first in the same process; mostly none
  Examination first;         ///< of the original
  Shrunk shrunk;
  Examination last;      ///< of the shrunk case
  FailureClass learned;  ///< what the cases tried on the way tell: for annotate()
  /// Of wrong values: what the target was seen to do otherwise (fuzz/measure/).
  std::vector<measure::Statement> measured = {};
  std::vector<measure::Trial> trials = {};  ///< of the faults that fit, on cases near it
  int64_t count = 1;                        ///< cases of this campaign with this signature
};

struct CampaignOptions {
  uint64_t seed = 0;
  uint64_t cases = 1000;  ///< over all shards
  double seconds = 0;     ///< > 0: a time budget instead of `cases`
  uint64_t shard = 0, shards = 1;
  int64_t max_shrink_tries = 20000;
  double max_diagnose = 20;  ///< seconds that experiments may take for each finding; 0: none
  std::vector<const Relation*> relations = {};  ///< each passing case is put to one of them
  double hang_seconds = 240;  ///< a case in attnfuzz's own process that takes longer is killed
  uint64_t stop_after = 0;    ///< stop at this many findings; 0: never
  const std::atomic<bool>* interrupt = nullptr;  ///< Ctrl-C: finish the run at hand and return
};

/// Counts that a summary is made of; merging shards adds them.
struct CampaignStats {
  uint64_t cases = 0, passed = 0, failed = 0, skipped = 0;
  double seconds = 0;
  uint64_t timed_cases = 0;   ///< those of which the next two tell: none of the corpus
  double judged_seconds = 0;  ///< for making, running and judging them: no shrinking
  double target_seconds = 0;  ///< of these, in the target itself
  double worst_ratio = 0;     ///< max |error| / bound among passing cases
  std::map<std::string, uint64_t> features;    ///< how often each feature was covered
  std::map<std::string, uint64_t> signatures;  ///< how many cases failed with each finding's
  Reach reach;  ///< the goals that cases of the campaign reached; once it is over, the others too
  bool interrupted = false;

  CampaignStats& operator+=(const CampaignStats& other);
  void count(const Case& c, const Verdict& verdict);  ///< one judged case
  /// What attnfuzz costs beside the target: seconds for a case, and of the time for all of them.
  double overhead_of_case() const;
  double overhead_share() const;
};

struct CampaignEvents {
  std::function<void(const CampaignStats&)> progress;  ///< after every case; must be cheap
  std::function<void(const Finding&)> finding;         ///< at once, when it is shrunk
};

/// A case of a campaign, run and judged.
struct Judged {
  Case c;
  Examination examination;
};
Judged judge_case(Target& target, Sequence& sequence, const CampaignOptions& options,
                  uint64_t index);
/// The same, and adds to `stats` what it took.
Judged judge_timed(Target& target, Sequence& sequence, const CampaignOptions& options,
                   uint64_t index, CampaignStats& stats);

/// The cases before the index-th that a process runs which takes every stride-th one.
std::vector<Case> earlier_cases(Sequence& sequence, const CampaignOptions& options, uint64_t index,
                                uint64_t most, uint64_t stride);

/// A finding that is not shrunk yet.
Finding finding_of(const TargetInfo& target, uint64_t seed, uint64_t index, Judged judged);

/// Runs and judges a case in the way that showed a failure: twice, by its relation, or plainly.
Examination examine_like(Target& target, const Case& c, const Verdict& like, Among among = nullptr);

/// When the target gets a new process (Target::restart()) while a case is shrunk.
enum class Restart : uint8_t { never, after_failure, always };

/// Shrinks finding.original on the target: fills `shrunk`, `last`, `learned` and `signature`, which
/// is that of `learned`. Once `stop` says so it takes what it has; without a try the case is left
/// as it was found.
void shrink_finding(Target& target, Finding& finding, int64_t max_tries, const Stop& stop = {},
                    Restart restart = Restart::never);

/// A stop for `interrupt`, which may be null.
Stop stop_at(const std::atomic<bool>* interrupt);

/// Runs the shard's cases through one target. Each new signature is shrunk and announced once; the
/// stats count the others.
CampaignStats run_campaign(Target& target, const CampaignOptions& options,
                           const CampaignEvents& events);

}  // namespace attnfuzz
