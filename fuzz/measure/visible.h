#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/measure/visible_atoms.h"

namespace attnfuzz::measure {

/// Which keys of their rows the queries of some cases see, and the smallest rule that says it of
/// all of them: mask rules and parts of them, also as a query that stands elsewhere has them, of
/// another size or of another row, joined by "and" and "or".
class VisibleFacts {
 public:
  /// `seen`: by place in what the query's row holds.
  void add(const Plan& plan, const Query& query, const std::vector<uint8_t>& seen);
  /// "A query sees a key exactly where …; the case says: …". Empty where no small rule says it, or
  /// nothing is wrong.
  std::string words() const;

 private:
  std::vector<VisibleAtom> atoms_;        ///< whose `holds` are by pair of a query and a key
  std::vector<uint8_t> seen_, declared_;  ///< by pair
};

}  // namespace attnfuzz::measure
