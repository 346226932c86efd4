#pragma once
#include "reports/triage/solve.h"

/// Inside of solve(): shapes and numbers alone are read by two ways.
namespace attnfuzz::triage {

struct Scored {
  Score score;
  Candidate reading;
};

inline bool is_shape(const Mention& mention) {
  return mention.kind == Mention::Kind::shape && mention.sizes.size() > 1;
}
inline bool is_number(const Mention& mention) {
  return mention.kind == Mention::Kind::size ||
         (mention.kind == Mention::Kind::shape && mention.sizes.size() == 1);
}

/// What the words beside a number say that it counts.
struct NumberLabel {
  AxisGuess axis;
  RoleGuess role;
  bool inherited =
      false;  ///< they stand with the number before it: "head_size, got 32 expected 16"
};
NumberLabel label_of_number(const std::vector<Mention>& mentions, size_t index);

/// The dimension that the text names, −1 for the last and so on; INT64_MIN where it names none.
int64_t dimension_in(const std::vector<Mention>& mentions);

void solve_shapes(const std::vector<Mention>& mentions, const Evidence& evidence,
                  const Weights& weights, std::vector<Scored>& found);
void solve_numbers(const std::vector<Mention>& mentions, const Evidence& evidence,
                   const Weights& weights, std::vector<Scored>& found);

}  // namespace attnfuzz::triage
