#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/betas.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/tokens/tokens.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// What a target's state (attention of a kind other than softmax) was seen to
/// hold of each token.
class StateFacts {
 public:
  /// Measures a case: its tokens' weights, then how each token decays what came
  /// before it. Nothing where the budget is too small or the target fails.
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// What one token was seen to multiply the state by, as the query of another
  /// reads it.
  struct Decay {
    double own, seen;  ///< logarithms: by the case, and as measured
    double twice, none, step_sum, all_sum, before, head_0,
        row_0;           ///< what it may be instead
    bool old;            ///< the token came with an earlier step
    int64_t undone, of;  ///< see Handed
  };
  /// Of an earlier step with `of` tokens: how many of its last ones decay the state that it hands
  /// on too little, by the whole of their gates; 0: none.
  struct Handed {
    int64_t undone = 0, of = 0;
  };
  static Handed handed_on(const Plan& plan, const Query& query,
                          const std::vector<std::vector<double>>& gates, size_t j, double extra);
  std::string handed_words() const;

  void add_decays(const Plan& plan, const std::vector<std::vector<double>>& gates,
                  const Weights& got, const Weights& want, double error);
  std::string decay_words() const;
  void add_emptied(const Plan& plan, const Weights& got, const Weights& want, double error);
  std::string emptied_words() const;

  TokenFacts tokens_{true};
  BetaFacts betas_;
  bool other_tokens_ = false;  ///< a token is missing from the state, or another is in it
  Where emptied_;  ///< queries whose row has earlier steps, and which of them read none of these
  bool lost_otherwise_ = false;  ///< a query is wrong though what it reads is what later steps left
  Where where_;
  std::vector<Decay> wrong_;
  size_t decays_ = 0;
  std::string example_;
  int64_t transposed_ = 0, tried_transposed_ = 0;
};

}  // namespace attnfuzz::measure
