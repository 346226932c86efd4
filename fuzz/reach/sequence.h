#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "fuzz/generate.h"
#include "fuzz/reach/compiled_for.h"
#include "fuzz/reach/goal.h"
#include "fuzz/reach/reached.h"

namespace attnfuzz {

/// The cases of one campaign: each a function of the capabilities, the seed and its index alone, so
/// that shards and processes share a campaign exactly. Its first part works off the goals between
/// cases drawn at random, cheap ones first, each as soon as the goals so far have taken no more
/// than their share of the work; behind it a goal is aimed at now and then.
///
/// A target that is compiled anew for each combination of sizes (Capabilities::compiled_for) gets
/// cases_per_compilation cases of each: the first is a boundary's, or in turn with those one that
/// is drawn at random, and in the others all else changes.
///
/// What a target takes is not learned: cases that depended on it would not be the same again. Work
/// is counted as work() does, and a goal of more than `most_work` is left out and named.
class Sequence {
 public:
  static constexpr double most_work = 1 << 30;
  static constexpr uint64_t cases_per_compilation = 128;

  /// Throws InputError as Generator does.
  Sequence(const Capabilities& capabilities, uint64_t seed);
  ~Sequence();
  Case operator()(uint64_t index);

  const std::vector<Goal>& goals() const { return goals_; }
  /// Features that no case can use, for dead_claims().
  const FeatureSet& unusable() const { return unusable_; }
  const Claims& claims() const { return generator_.claims(); }

  /// A planned case and what it is for.
  struct Entry {
    size_t goal;         ///< its place in goals()
    uint64_t draw;       ///< which draw makes it
    double work;         ///< of the case, in multiplications
    double aimed;        ///< Aim::work
    uint64_t index = 0;  ///< in the campaign
  };
  /// All entries, once the plan is made whole.
  const std::vector<Entry>& plan();
  /// Whether a case that is planned for another goal reaches it too.
  bool is_covered(size_t goal) const { return states_[goal] == State::covered; }
  /// Why no case of a campaign of so many reached a goal.
  std::string rejection_reason(size_t goal, uint64_t cases);

 private:
  struct Draft;
  void plan_boundaries();
  bool plan_next_pair();
  void plan_until(uint64_t index);
  bool try_goal(size_t goal, Draft& draft) const;
  size_t crossed(const Case& c) const;
  void mark(const Case& c);
  void place(Entry entry, uint64_t first_slot, uint64_t stride, uint64_t& next);
  Case make(const Entry& entry) const;
  Case at_random(uint64_t index) const;
  Case compiled(uint64_t index);

  enum class State : uint8_t { open, planned, covered, impossible, too_costly };

  /// Cases that one compilation serves.
  struct Compilation {
    uint64_t number;  ///< of the campaign's
    Case first;
    CaseMarks marks;            ///< of the first
    std::vector<size_t> own;    ///< goals that it can serve: those of its turn's feature,
    std::vector<size_t> pairs;  ///< and the others
  };
  FeatureSet turn_of(uint64_t number) const;
  const Compilation& compilation(uint64_t number);

  Generator generator_;
  FeatureSet unusable_;
  CompiledFor compiled_for_;
  uint64_t seed_;
  std::vector<Goal> goals_;
  std::vector<State> states_;
  std::vector<double> costs_;  ///< of goals that are too costly
  std::vector<size_t> pairs_;  ///< in the order in which they are planned
  size_t next_pair_ = 0;
  uint64_t next_boundary_slot_, next_pair_slot_;
  double planned_work_ = 0;
  std::vector<Entry> plan_;
  std::map<uint64_t, size_t> by_index_;     ///< places in plan_
  std::vector<size_t> boundaries_;          ///< places in plan_ of the goals that are no pairs
  std::optional<Compilation> compilation_;  ///< that was asked for last
};

/// Counts which goals a campaign's cases reach.
class ReachCounter {
 public:
  explicit ReachCounter(const std::vector<Goal>& goals);
  /// Adds the goals that this case is the first to reach.
  void count(const Case& c, Reach& reach);

 private:
  const std::vector<Goal>& goals_;
  std::vector<size_t> open_;
};

/// Adds the goals that were not reached, and why.
void add_missed(Sequence& sequence, uint64_t cases, Reach& reach);

}  // namespace attnfuzz
