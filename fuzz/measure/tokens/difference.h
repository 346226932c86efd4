#pragma once
#include <set>
#include <string_view>
#include <vector>

#include "fuzz/measure/reading.h"

namespace attnfuzz::measure {

/// What one query does with its keys, told apart.
struct Difference {
  std::vector<Place> missing;  ///< declared and not taken
  std::vector<Place> foreign;  ///< taken: another row's, another head's, gone,
                               ///< later; or once more
  std::set<size_t> hidden;     ///< places in Held of own tokens that are taken though hidden

  /// Whether each key that is not taken has something in its place.
  bool is_swap() const {
    return hidden.empty() && !foreign.empty() && missing.size() == foreign.size();
  }
};
Difference difference(const Plan& plan, const Query& query, const Reading& reading);

inline constexpr std::string_view kind_of_padding = "the padding of ragged steps",
                                  kind_more = "a token of its own more than once";
/// "another row's token".
std::string_view kind_of(const Place& place, const Query& query, int64_t head);

}  // namespace attnfuzz::measure
