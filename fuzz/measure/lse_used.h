#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/orders.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/vectors.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Which log-sum-exp each query has, of a target whose out is right. used: with which the backward
/// pass makes P = exp(S − lse), told from dv, where a query's weights are right but for one factor.
/// returned: what comes out as lse.
class LseFacts {
 public:
  enum class Of : uint8_t { used, returned };
  explicit LseFacts(Of of) : of_(of) {}

  /// Measures a case that asks for dv, or lse.
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// One query (batch row, head, place): the log-sum-exp that it should take, and what it takes.
  struct Row {
    Index at;
    double own, largest, mean, without_sink, unscaled, uncapped, unbiased;
    double count;  ///< of its keys
    double used, error;
    size_t of;  ///< its case
    bool wrong() const;
  };
  struct Seen {
    std::shared_ptr<const Problem> problem;
    std::vector<double> lse;  ///< by batch row, head and query; NaN where it sees no key
  };
  struct Law;
  /// The log-sum-exps that the target has, query by query, NaN where it is not told; none where
  /// they cannot be seen.
  std::vector<double> seen(Target& target, const Plan& plan, Forge& forge, const Vectors& vectors,
                           double error, const std::vector<double>& own, Budget& budget) const;
  Row row_of(const Plan& plan, const Forge& forge, const Vectors& vectors,
             const Query& query) const;
  std::string law() const;
  std::string address() const;
  std::string other_query() const;
  std::string zeros_and_others() const;
  const double* lse_of(const Row& row, const Index& query) const;

  Of of_;
  std::vector<Seen> seen_;
  std::vector<Row> rows_;
  Where where_;
  bool unknown_ = false;  ///< some query's log-sum-exp cannot be seen
};

}  // namespace attnfuzz::measure
