#pragma once
#include <vector>

#include "reports/triage/evidence.h"
#include "reports/triage/score.h"

/// Names the numbers of a message: every way that attention code can have come to it is scored by
/// what the report says, what layouts and sizes are common, and how its numbers fit together.
namespace attnfuzz::triage {

/// A number of the message and what it stands for.
struct Slot {
  size_t mention, place;  ///< which size of which mention
  int64_t value;
  Axis axis = Axis::none;
  Role of = Role::none;  ///< whose size it is
};

/// One reading of all the numbers.
struct Candidate {
  std::vector<Slot> slots;
  Form form = Form::unknown;
  Role a = Role::none, b = Role::none;  ///< what meets
  double chance = 0;                    ///< that it is the right one
  Weights terms{};                      ///< of its score, the mean over all ways to it
};

/// What the labelled shapes of other lines tell of the axes' sizes.
std::vector<Fact> facts_of_shapes(const Evidence& evidence, const Weights& weights);

/// Readings of the message, the likeliest first, no two alike; empty where there is nothing to
/// read.
std::vector<Candidate> solve(const std::vector<Mention>& mentions, const Evidence& evidence,
                             const Weights& weights = fitted_weights());

/// Whether two readings say the same, but for names of one thing (num_heads, num_kv_heads).
bool agree(const Candidate& one, const Candidate& other);

/// The chance of the first reading and of all that agree with it.
double agreed(const std::vector<Candidate>& candidates);

/// How much labels, numbers' words, the words of views and lines of code speak for it.
double support(const Candidate& reading, const Weights& weights = fitted_weights());

/// The share of its sizes for which the text itself says what they are, by a word beside the
/// number, a size that is stated elsewhere, or the name of the tensor.
double grounded(const Candidate& reading, const std::vector<Mention>& mentions,
                const Evidence& evidence);

}  // namespace attnfuzz::triage
