#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {

/// Where a source stands as a query's row sees it.
struct Place {
  /// padding: of a ragged step, which is no token.
  enum class Of : uint8_t { own_row, other_row, gone, later, memory, padding };
  Of of = Of::own_row;
  int64_t row = 0;   ///< that holds it; gone, later, padding: in which it came
  int64_t came = 0;  ///< the row in which it came
  int64_t head = 0;  ///< its KV head
  int64_t position =
      0;             ///< in that row; gone, later: at which it came; padding: its place in the step
  size_t place = 0;  ///< own_row, other_row: in Held
};
Place place_of(const Plan& plan, const Query& query, size_t source);

/// A source that a query took, and how many times as much as one key's share.
struct Use {
  size_t source = 0;
  double weight = 0;
  int64_t times = 1;
};

/// What a query was seen to take.
struct Reading {
  size_t query = 0;
  std::vector<Use> uses;
  int64_t zeros = 0;     ///< keys counted that bring nothing
  bool counted = false;  ///< all weights are whole shares of one key's

  /// The tokens are right, and what their weights add up to is told apart from them.
  void take_each_once() {
    for (Use& use : uses) use.times = 1;
    zeros = 0;
    counted = true;
  }
};
/// From the weights at equal scores. `error`: weight_error().
Reading read(const Plan& plan, size_t query, std::span<const double> weights, double sink,
             double error);

/// "tokens 0–3 of row 0 and its own 4–6 (6 twice)".
std::string describe(const Plan& plan, const Reading& reading);
/// The same of what the case says.
std::string describe_declared(const Plan& plan, const Query& query);
/// "row 1, query 4 of step 2 (query head 0)": with what the case has.
std::string describe_query(const Plan& plan, const Query& query);
/// "0–3, 5".
std::string ranges(std::vector<int64_t> numbers);

}  // namespace attnfuzz::measure
