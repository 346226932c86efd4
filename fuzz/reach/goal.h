#pragma once
#include <string>
#include <vector>

#include "fuzz/aim.h"
#include "oracle/case.h"

namespace attnfuzz {

class Claims;

/// A number of a case that is to lie in an interval. Of one that a case has several of (q_len: each
/// step's), one of them.
struct Condition {
  Quantity quantity;
  Interval in;
};

/// A boundary that a target claims, and that a campaign is to cross: which cases do, and how to
/// steer the Generator to one. All goals are made from the capabilities, see goals_of().
struct Goal {
  std::string name;                   ///< "kv_len: second tile of 64, in part"
  FeatureSet words;                   ///< features that the case has to use,
  std::vector<Condition> conditions;  ///< and what has to hold
  /// More that the aim asks for: the cheapest way to get there, not the only one.
  std::vector<Condition> way = {};
  FeatureSet way_words = {};
  bool is_pair = false;  ///< two features together
};

/// What goals ask of a case.
struct CaseMarks {
  FeatureSet words;
  std::vector<std::pair<Quantity, int64_t>> numbers;
};
CaseMarks marks_of(const Case& c);

bool reaches(const CaseMarks& marks, const Goal& goal);

/// `work`: multiplications that the case should stay below.
Aim aim_at(const Goal& goal, double work);

/// The goals that the claims set: for each tile, page, window, chunk, capacity and size, below, at
/// and above it, and several of it; for each pair of claimed features, both together. Where no tile
/// is claimed, those that kernels usually have. A name tells a goal from all others.
std::vector<Goal> goals_of(const Claims& claims);

/// Of them, those of the rule "packed", for these tiles of keys.
std::vector<Goal> packed_goals(const Claims& claims, const std::vector<int64_t>& tiles);

/// Words that features() never gives: they stand for what every case is.
bool is_silent(std::string_view word);

}  // namespace attnfuzz
