#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "reports/diagnose.h"
#include "targets/recording.h"

namespace attnfuzz {

/// A call held against the oracle: a verdict and, where it failed, what is known of it.
struct CallVerdict {
  Verdict verdict;
  std::string signature;  ///< empty unless it failed
  std::vector<Cause> causes;
  std::string outside;  ///< why there is no verdict; empty if there is one

  bool failed() const { return outside.empty() && verdict.failed(); }
  bool judged() const { return outside.empty() && verdict.kind != VerdictKind::skip; }
};

/// A recorded call, judged by what was asked of it, and where the recording has them by what the
/// model's configuration says; `against`: what another target gives for the same inputs.
struct JudgedCall {
  RecordedCall call;
  std::string words;  ///< the case on one line
  CallVerdict asked;
  std::optional<CallVerdict> by_config, against;

  /// Whether the recorded outputs are wrong, as asked or by the configuration.
  bool wrong() const { return asked.failed() || (by_config && by_config->failed()); }
};

/// What a recording is of, a line for each thing.
std::string recording_text(const Recording& recording);
/// A table with a row for each layer, and one with a row for each step where a call is wrong: how
/// many calls, how many of them wrong, the largest error / bound, and the first wrong one.
std::string calls_table(const std::vector<JudgedCall>& calls);
/// Where the first wrong call was made and what is wrong with it; empty if none is.
std::string first_wrong_text(const std::vector<JudgedCall>& calls);
/// Everything, a call each.
nlohmann::ordered_json calls_json(const Recording& recording, const std::vector<JudgedCall>& calls);

}  // namespace attnfuzz
