#pragma once
#include "reports/triage/evidence.h"
#include "reports/triage/layouts.h"
#include "reports/triage/score.h"

namespace attnfuzz::triage {

/// How likely it is, by what the report says, that an operation combines two tensors.
class SceneScore {
 public:
  SceneScore(const Evidence& evidence, const Weights& weights)
      : evidence_(evidence), weights_(weights) {}

  Score of(const Scene& scene) const;
  /// The scenes that are known, and those which the lines of code name.
  std::vector<Scene> all() const;
  double of_role(Role role) const;  ///< of the words around, for a tensor alone
  /// How much it speaks against a tensor that few calls have that no word names it.
  double if_unnamed(Role role) const;

 private:
  double by_code(Form form, Role a, Role b) const;

  const Evidence& evidence_;
  const Weights& weights_;
};

/// How much one role is like another, 0 to 1: keys and a cache of keys are often called one thing.
double likeness(Role one, Role other);

/// The score of a tensor's role by a label beside its shape.
double by_label(const RoleGuess& label, Role role);

}  // namespace attnfuzz::triage
