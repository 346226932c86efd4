#pragma once
#include <functional>
#include <string>
#include <vector>

#include "oracle/case.h"

namespace attnfuzz {

/// A single simplification of a case: a smaller size, a rule less, a default instead of an option,
/// a step less, plainer data. Every result is valid; the order is fixed, biggest steps first.
struct Reduction {
  std::string words;  ///< "kv_len 37 → 1"
  Case c;
};
std::vector<Reduction> reductions(const Case& c);

/// The case with these rows of its batch, in this order. A reorder or fork that reads a row that is
/// gone reads its own, or the first.
Case with_rows(Case c, const std::vector<size_t>& rows);

/// A measure that every reduction lowers, so that shrinking ends.
uint64_t weight(const Case& c);

struct Shrunk {
  Case c;
  std::vector<std::string> history;  ///< the accepted reductions, in order
  int64_t tried = 0;
  bool minimal = false;  ///< no single reduction of c still fails (false: the budget ran out)

  /// Goes on with what a later shrink() of c gave.
  void follow(Shrunk more);
};

/// Asked between two runs; true: somebody wants to end (Ctrl-C). Empty: nobody does.
using Stop = std::function<bool()>;

/// Greedy to a fixpoint: 1-minimal with respect to reductions(), deterministic. `still_fails` runs
/// the candidate and tells whether it fails with the same signature.
Shrunk shrink(const Case& c, const std::function<bool(const Case&)>& still_fails,
              int64_t max_tries = 20000, const Stop& stop = {});

}  // namespace attnfuzz
