#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "oracle/answer.h"

namespace attnfuzz {

/// Another meaning that a case could have been given by mistake. Diagnosis computes it on the same
/// inputs and says "the output equals what you get if <words>" where the target agrees with it.
/// A name that ends in "-ignored" says that an option made no difference.
struct Alternative {
  /// Which kinds of attention it is about.
  enum class Of : uint8_t { softmax, state, any };

  std::string_view name;   ///< "align-top-left"
  std::string_view words;  ///< completes "the output equals what you get if …"
  /// The case rewritten to the other meaning, or none where it does not apply. The result is for
  /// answer() on the original case's inputs alone: it may use rules and values that no case file
  /// can (a window of −1), and it may mean the same as the original on the case at hand.
  std::optional<Case> (*rewrite)(const Case&);
  Of of = Of::softmax;
  /// Where tensors are read wrong: the case's inputs as the rewritten case finds them. Called where
  /// `rewrite` applies.
  Inputs (*read)(const Case&, Inputs) = nullptr;

  bool is_about(const Case& c) const {
    return of == Of::any || (of == Of::state) == c.problem.recurrent();
  }
};

/// One line each; the most specific first.
std::span<const Alternative> alternatives();

/// The case's answer by another meaning; none where that does not apply.
std::optional<Answer> answer_by(const Alternative& alternative, const Case& c, const Inputs& inputs,
                                const Precision& precision);

}  // namespace attnfuzz
