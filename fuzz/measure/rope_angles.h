#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"

namespace attnfuzz::measure {

/// By which angle rope turns each element: q and k that are not 0 in one element alone have scores
/// that are the cosine of the angle between them.
class RopeAngles {
 public:
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

  /// The cosine of the angle between a query and a key so many places from it.
  struct Cosine {
    int64_t distance;
    double value;
  };

 private:
  struct Element {
    enum class Turned : uint8_t {
      right,
      as_pair,
      by_factor,
      not_at_all,
      unknown
    } turned = Turned::right;
    double number = 0;  ///< as_pair: whose angle it is turned by; by_factor: how much farther
  };
  static Element turned_otherwise(const Problem& p, const std::vector<Cosine>& cosines, double own,
                                  double error);
  struct Seen {
    Problem problem;
    std::vector<Element> elements;
  };
  static std::string words_of(const Seen& seen);

  std::vector<Seen> seen_;
};

}  // namespace attnfuzz::measure
