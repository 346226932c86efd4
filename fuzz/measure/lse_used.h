#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/orders.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// Which log-sum-exp the backward pass makes P = exp(S − lse) with, for each query: told from dv,
/// where a query's weights are right but for one factor.
class LseFacts {
 public:
  /// Measures a case that asks for dv, and whose out is right.
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// One query (batch row, head, place): the log-sum-exp that it should take, and what it takes.
  struct Row {
    Index at;
    double own, largest, without_sink, used, error;
    size_t of;  ///< its case
    bool wrong() const;
  };
  struct Seen {
    std::shared_ptr<const Problem> problem;
    std::vector<double> lse;  ///< by batch row, head and query; NaN where it sees no key
  };
  struct Law;
  std::string law() const;
  std::string address() const;
  std::string other_query() const;
  std::string zeros_and_others() const;
  const double* lse_of(const Row& row, const Index& query) const;

  std::vector<Seen> seen_;
  std::vector<Row> rows_;
  Where where_;
  bool unknown_ = false;  ///< some query's weights differ by more than a factor
};

}  // namespace attnfuzz::measure
