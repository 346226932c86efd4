#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fuzz/measure/orders.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {

/// Whose rows of grad_out the backward pass takes for each query's: told from the weights that dv
/// has of a query whose grad_out alone is not 0.
class GradientFacts {
 public:
  /// Measures a case that asks for dv, and whose out is right.
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;
  bool differs() const { return !statements().empty(); }

 private:
  /// What one case showed: each query (batch row, head, place), and the one whose place its
  /// grad_out takes.
  struct Seen {
    Index sizes{};
    bool heads_first;  ///< the case's layout: [batch, heads, len, dim]
    std::vector<std::pair<Index, Index>> taken;
  };
  std::string order() const;

  std::vector<Seen> seen_;
  bool unknown_ = false;  ///< some query's grad_out is taken for no other's
};

}  // namespace attnfuzz::measure
