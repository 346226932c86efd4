#pragma once
#include <vector>

#include "reports/triage/solve.h"

/// read_error() in two steps, for those who look at all readings and not at the best alone.
namespace attnfuzz::triage {

/// A text taken apart: what there is to be named, and what speaks for which name.
struct Question {
  Reading reading;  ///< all but the numbers' axes
  std::vector<Mention> mentions;
  Evidence evidence;
};
Question take_apart(std::string_view raw, std::vector<KnownSize> known);

/// The likeliest of solve()'s candidates as a reading, without its explanation.
Reading answer(const Question& question, const std::vector<Candidate>& candidates);

}  // namespace attnfuzz::triage
