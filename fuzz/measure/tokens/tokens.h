#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/measure/remap.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/tokens/ends.h"
#include "fuzz/measure/tokens/hidden_by.h"
#include "fuzz/measure/tokens/silent.h"
#include "fuzz/measure/tokens/slots.h"
#include "fuzz/measure/tokens/stored_factors.h"
#include "fuzz/measure/tokens/sums.h"
#include "fuzz/measure/tokens/swaps.h"
#include "fuzz/measure/visible.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Which tokens' values the queries of some cases took at equal scores, against
/// what the cases say; and the plainest words for the difference that hold over
/// all of them.
class TokenFacts {
 public:
  /// `own_sum`: weights are shares of their own sum, so that what is missing of it are keys of
  /// zeros. The backward pass divides by the sum of the forward pass.
  explicit TokenFacts(bool own_sum) : own_sum_(own_sum) {}

  /// What was measured on one case; `error` is weight_error(). Whether it is
  /// all right.
  bool add(const Plan& plan, const Forge& forge, const Weights& got, const Weights& want,
           double error);
  bool differs() const { return wrong_ > 0; }
  /// Whether some token is missing, or another taken; else weights alone
  /// differ.
  bool differs_in_tokens() const {
    return nonfinite_ > 0 || offsets_ > 0 || no_sums_ > 0 || any_extra_ || any_missing_ ||
           !swaps_.empty() || any_foreign_;
  }
  std::vector<Statement> statements() const;

 private:
  /// What one query gave.
  struct Given {
    bool bad_value, offset, wrong;
  };
  Given look(const Plan& plan, size_t n, const Weights& got, const Weights& want, double error);
  void add_example(const Plan& plan, const Query& query, const Reading& reading);
  void add_query(const Plan& plan, const Query& query, const Reading& reading);
  void add_zeros(const Reading& reading);
  void add_keys(const Plan& plan, const Query& query, const Difference& all,
                const std::vector<uint8_t>& repeated);
  std::string visible_words(bool any) const;
  std::string zero_words() const;
  std::string swap_words() const;
  std::string repeated_words() const;
  std::string taken_words() const;
  std::vector<Statement> memory_statements() const;
  /// Queries that are wrong and whose weights can be read.
  int64_t readable() const { return wrong_ - nonfinite_ - no_sums_; }
  bool is_of_keys() const {
    return silent_.count() < readable() && !swaps_.are_all() && (any_extra_ || any_missing_);
  }

  bool own_sum_;
  SilentFacts silent_;
  EndFacts ends_;
  VisibleFacts visible_;
  Remap remap_;
  SwapFacts swaps_;
  SumFacts sums_;
  StoredFactors factors_;
  HiddenBy hidden_by_;
  SlotFacts slots_;
  int64_t queries_ = 0, wrong_ = 0, cases_ = 0, nonfinite_ = 0, offsets_ = 0, no_sums_ = 0,
          wrong_cases_ = 0;
  Where where_, where_nonfinite_, where_no_sums_, where_zeros_;
  Where missing_, extra_, swapped_, repeated_;
  std::set<int64_t> times_;  ///< how often keys are taken that are taken more than once
  bool cached_ = false;
  bool any_extra_ = false, any_missing_ = false, any_foreign_ = false, counted_ = true;
  std::vector<int64_t> totals_;  ///< keys that queries with zeros count in all
  std::string picture_;
  std::set<std::string_view> foreign_;  ///< of which kinds, where they replace no others
  std::string smallest_, largest_;      ///< examples
  size_t smallest_size_ = SIZE_MAX, largest_size_ = 0;
};

}  // namespace attnfuzz::measure
