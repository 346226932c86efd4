#pragma once
#include <chrono>
#include <string>

#include "fuzz/campaign.h"

namespace attnfuzz::cli {

/// Shows how a campaign goes, on stderr: a bar that rewrites itself on a terminal, a line every ten
/// seconds elsewhere, nothing with --quiet.
class Progress {
 public:
  Progress(std::string target, const CampaignOptions& budget, bool quiet);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(const CampaignStats& stats);  ///< cheap: looks at the clock and mostly returns
  void found() { ++findings_; }
  void clear();  ///< before anything else is printed

 private:
  using Clock = std::chrono::steady_clock;
  double done(const CampaignStats& stats, double seconds) const;  ///< 0 to 1

  std::string target_;
  CampaignOptions budget_;
  bool quiet_, terminal_, shown_ = false;
  int findings_ = 0;
  Clock::time_point start_, next_;
};

/// Whether to colour what goes to stdout: a terminal, and NO_COLOR not set.
bool use_colour();

/// Ctrl-C and SIGTERM ask a campaign to stop after the case at hand; a second one ends at once.
const std::atomic<bool>& interrupt_flag();
/// From here on a second one gives up the case at hand, so that what was found is written; a third
/// ends at once.
void write_at_second_interrupt();
/// Throws GivenUp after that.
void give_up_if_asked();

}  // namespace attnfuzz::cli
