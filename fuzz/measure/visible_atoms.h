#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/measure/plan.h"

namespace attnfuzz::measure {

/// Something that a mask may be made of, for one query and the keys that its row holds.
struct VisibleAtom {
  std::string words;           ///< "the key is not after the query"
  int cost = 1;                ///< how far it is from what cases say
  std::vector<uint8_t> holds;  ///< by place in what the row holds
};
/// Which keys of what the query's row holds a rule shows to a query that stands at `position` in
/// batch row `b`: flags by place.
std::vector<uint8_t> shown_by(const Plan& plan, const Query& query, const RuleUse& rule,
                              int64_t position, int64_t b);

/// The same ones in the same order for every query of every case, the plainest first.
std::vector<VisibleAtom> visible_atoms(const Plan& plan, const Query& query);

}  // namespace attnfuzz::measure
