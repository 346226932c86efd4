#pragma once
#include <string>
#include <utility>
#include <vector>

#include "reports/report.h"

namespace attnfuzz {

/// What every format says about a finding: plain text, already clean (see text::clean), not escaped
/// for any format.
struct Story {
  std::string title;       ///< one line: "cpu:naive gives a wrong output on b2 h4/2 …"
  std::string happened;    ///< one or two sentences
  std::string expected;    ///< one sentence
  std::string error_text;  ///< as the target gave it; empty without an error
  std::string named_text;  ///< the same with its numbers named; empty where none is
  std::string place;       ///< where it came from: "case 17 of the campaign with seed 1"
  std::string minimal;     ///< what the shrinker says of the case
  std::string case_json;
  std::vector<std::pair<std::string, std::string>> axes;
};
Story tell(const Report::Item& item);

/// The file's name of the k-th of the cases that run before a finding's.
std::string before_file(size_t k);

/// The command that reruns the case, when it lies at `file` and those before it in the same folder.
std::string replay_command(const Finding& finding, const std::string& file);

}  // namespace attnfuzz
