#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "fuzz/measure/head_law.h"
#include "fuzz/measure/reading.h"
#include "fuzz/measure/relate.h"
#include "fuzz/measure/remap.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/visible.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Which tokens' values the queries of some cases took at equal scores, against
/// what the cases say; and the plainest words for the difference that hold over
/// all of them.
class TokenFacts {
 public:
  /// What was measured on one case; `error` is weight_error(). Whether it is
  /// all right.
  bool add(const Plan& plan, const Forge& forge, const Weights& got, const Weights& want,
           double error);
  bool differs() const { return wrong_ > 0; }
  /// Whether some token is missing, or another taken; else weights alone
  /// differ.
  bool differs_in_tokens() const {
    return nonfinite_ > 0 || any_extra_ || any_missing_ || !swaps_.empty() || any_foreign_;
  }
  std::vector<Statement> statements() const;

 private:
  /// A declared key that a query did not take, and what it took instead.
  struct Swap {
    Place from, to;
    int64_t row, head;  ///< the query's
  };

  void add_example(const Plan& plan, const Query& query, const Reading& reading);
  void add_query(const Plan& plan, const Query& query, const Reading& reading);
  void add_sum(const Plan& plan, const Forge& forge, const Query& query, const Reading& reading);
  std::string swap_words() const;
  std::string visible_words(bool any) const;
  std::string zero_words() const;
  std::string sum_words() const;
  bool add_factors(const Plan& plan, const Query& query, std::span<const double> got,
                   std::span<const double> want);
  std::string factor_words() const;
  std::string foreign_words() const;
  std::string nothing_words() const;
  std::string end_words() const;
  void add_ends(const Plan& plan, const Query& query, std::span<const size_t> missing);

  /// Queries that take no token, though they should: how many, and of which heads of how many.
  struct Heads {
    std::set<int64_t> none, some;
    int64_t count = 0;
  };
  int64_t nothing_ = 0;
  std::vector<Heads> heads_;  ///< by case
  Where where_nothing_;
  /// Of the keys that queries should see and do not: whether they are the oldest, or the newest,
  /// of these, and how many.
  bool all_oldest_ = true, all_newest_ = true;
  Relation ends_, kept_;  ///< how many are missing, and how many are not
  VisibleFacts visible_;
  int64_t queries_ = 0, wrong_ = 0, cases_ = 0, nonfinite_ = 0, offsets_ = 0, no_sums_ = 0,
          wrong_cases_ = 0;
  Where where_, where_nonfinite_, where_no_sums_;
  Remap remap_;
  /// Of a quantised cache: by what the values of the tokens that should be taken are multiplied.
  Where where_factor_;
  std::vector<double> factors_;
  double lost_scale_ = 0;  ///< the factor of a value of 1 that is read with a scale of 1
  Where missing_, extra_, swapped_;
  std::vector<Swap> swaps_;
  std::set<HeadUse> heads_used_;  ///< of queries that take the tokens of one KV head alone
  bool cached_ = false;
  bool all_swapped_ = true, any_extra_ = false, any_missing_ = false, any_foreign_ = false,
       counted_ = true;
  std::set<int64_t> zeros_;      ///< how many zeros wrong queries count
  std::vector<int64_t> totals_;  ///< keys that queries with zeros count in all
  /// Where the right tokens are taken with equal weights that do not add up as
  /// they should: the sink's share as seen, in shares of one key, and those of
  /// all heads.
  struct Sum {
    double seen, total;
    int64_t head;
    std::vector<double> sinks;  ///< exp(sink) by query head; empty: no sinks
    bool scaled = false;        ///< of a quantised cache
  };
  std::vector<Sum> sums_;
  void draw(const Plan& plan, const Query& query, const Weights& got);
  std::string picture_;
  std::set<std::string_view> foreign_;  ///< of which kinds, where they replace no others
  std::string smallest_, largest_;      ///< examples
  size_t smallest_size_ = SIZE_MAX, largest_size_ = 0;
};

}  // namespace attnfuzz::measure
