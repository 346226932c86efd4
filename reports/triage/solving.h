#pragma once
#include <limits>
#include <string_view>
#include <utility>

#include "reports/triage/solve.h"

/// Inside of solve(): shapes and numbers alone are read by two ways.
namespace attnfuzz::triage {

struct Scored {
  Score score;
  Candidate reading;
};

inline bool is_shape(const Mention& mention) {
  return mention.kind == Mention::Kind::shape;
}
inline bool is_number(const Mention& mention) {
  return mention.kind == Mention::Kind::size;
}

/// What the words beside a number say that it counts.
struct NumberLabel {
  AxisGuess axis;
  RoleGuess role;
  bool inherited =
      false;             ///< they stand with the number before it: "head_size, got 32 expected 16"
  bool same = false;     ///< nothing but "got", "and" and the like is between the two
  bool instead = false;  ///< "got" and the like is: one axis is told twice
};
NumberLabel label_of_number(const std::vector<Mention>& mentions, size_t index);

/// The last phrase before a number, and the one before that.
std::pair<std::string_view, std::string_view> phrases(std::string_view before);

/// The dimension that the text names, −1 for the last and so on; kNoDim where it names none.
constexpr int64_t kNoDim = std::numeric_limits<int64_t>::min();
int64_t dimension_in(const std::vector<Mention>& mentions);

void solve_shapes(const std::vector<Mention>& mentions, const Evidence& evidence,
                  const Weights& weights, std::vector<Scored>& found);
void solve_numbers(const std::vector<Mention>& mentions, const Evidence& evidence,
                   const Weights& weights, std::vector<Scored>& found);

}  // namespace attnfuzz::triage
