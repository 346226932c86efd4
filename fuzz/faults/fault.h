#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "oracle/answer.h"

namespace attnfuzz {

/// A hypothesis of what an implementation does wrong. Diagnosis evaluates it on the same inputs and
/// says "the output equals what you get if <words>" where the target agrees with it. A name that
/// ends in "-ignored" says that an option made no difference.
///
/// A fault rewrites what the oracle is asked, in one of four places: the Case, its inputs, its
/// Plan, or the outputs put together from several evaluations. The oracle itself knows none.
struct Fault {
  /// Which kinds of attention it is about.
  enum class Of : uint8_t { softmax, state, any };

  std::string_view name;   ///< "align-top-left"
  std::string_view words;  ///< completes "the output equals what you get if …"
  /// The case rewritten, or none where the fault does not apply. The result is for evaluation on
  /// the original case's inputs alone: it may use rules and values that no case file can (a window
  /// of −1), and it may mean the same as the original on the case at hand.
  std::optional<Case> (*rewrite)(const Case&);
  Of of = Of::softmax;
  /// Where tensors are read wrong: the case's inputs as the rewritten case finds them. Called where
  /// `rewrite` applies.
  Inputs (*read)(const Case&, Inputs) = nullptr;
  /// Where a cache or a state is: the rewritten case lowered in another way than lower() does.
  Plan (*plan)(const Case&) = nullptr;
  /// Where other arithmetic is needed: the rewritten case evaluated on these inputs.
  Answer (*evaluate)(const Case&, const Inputs&, const Precision&) = nullptr;

  bool is_about(const Case& c) const {
    return of == Of::any || (of == Of::state) == c.problem.recurrent();
  }
};

/// One line each; the most specific first.
std::span<const Fault> faults();
const Fault* find_fault(std::string_view name);  ///< nullptr: there is none

/// What a fault makes of the case; none where it does not apply.
std::optional<Answer> faulty_answer(const Fault& fault, const Case& c, const Inputs& inputs,
                                    const Precision& precision);

}  // namespace attnfuzz
