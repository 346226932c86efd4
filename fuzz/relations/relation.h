#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/judge.h"
#include "fuzz/relations/twin.h"

namespace attnfuzz {

/// Something that must hold between a target's outputs on two cases, whatever right is: a
/// metamorphic relation (Chen, Cheung and Yiu 1998). Bounds come from the oracle, for both cases.
struct Relation {
  std::string_view name;   ///< "split-step"
  std::string_view words;  ///< "a step in two parts gives what it gives in one"
  std::string_view cause;  ///< what is likely wrong where it does not hold
  /// The other case, or none where the relation says nothing on this one.
  std::optional<Twin> (*twin)(const Case&);
  bool same_bits = false;  ///< not only within the bounds
};

/// One file each, in fuzz/relations/, and one line in the table of relations.cpp.
std::span<const Relation> relations();
const Relation* find_relation(std::string_view name);

/// The relations, of these, that say something on a case with a twin that the target claims.
std::vector<const Relation*> applicable(std::span<const Relation* const> of,
                                        const Capabilities& capabilities, const Case& c);

/// Runs the case and its twin and compares them. A pass where the relation does not apply. An
/// Outcome that is not ok is a verdict only where the twin's differs from the case's: what a case
/// does by itself is examine()'s to judge.
Examination examine_relation(Target& target, const Case& c, const Relation& relation);

/// examine(); where the case passes, the applicable relations as well, `most` of them from the
/// `first`th on, until one does not hold.
Examination examine_with(Target& target, const Case& c, std::span<const Relation* const> relations,
                         bool run_twice = false, size_t first = 0, size_t most = SIZE_MAX);

}  // namespace attnfuzz
