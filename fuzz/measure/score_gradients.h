#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/visible.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// dS = P ∘ (dP − D), with dP = grad_out Vᵀ and D = rowsum(P ∘ dP), as dq and dk have it. With q of
/// zeros, dq = scale · dS k is linear in k; with k of zeros, dk = scale · dSᵀ q is in q: one-hot k
/// and q show each element of dS that a target used.
class ScoreGradientFacts {
 public:
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// One query of one case.
  struct Row {
    std::vector<double> got, p, dp;  ///< by key that it sees
    double d = 0, error = 0;
    double foreign = 0;  ///< the largest element that it takes of what it does not see
    size_t of = 0;       ///< its case
    int64_t b = 0, h = 0, i = 0;
  };
  /// What was seen in one output.
  struct Seen {
    const char* name;
    std::vector<Row> rows;
    Where left_out;  ///< keys that are right, or have no part
    Where where;
    bool other = false;  ///< some element is neither right nor 0
    size_t zeros = 0;
    VisibleFacts visible;    ///< the pairs of a query and a key that have a part in dS
    bool elsewhere = false;  ///< so have keys of other rows or KV heads
  };
  void add_pairs(const Plan& plan, size_t n, std::span<const double> got, double error, Seen& seen);
  void add(const Plan& plan, const std::vector<double>& got, const Forge& forge,
           const std::vector<double>& v, const std::vector<double>& g, double error, Seen& seen);
  static bool is_right(const Row& row);
  static std::string formula(const std::vector<const Row*>& wrong);
  static std::string other_sum(const std::vector<const Row*>& wrong, const std::vector<Row>& all);

  Seen dq_{"dq", {}, {}, {}, false, 0, {}, false}, dk_{"dk", {}, {}, {}, false, 0, {}, false};
  size_t cases_ = 0;
};

}  // namespace attnfuzz::measure
