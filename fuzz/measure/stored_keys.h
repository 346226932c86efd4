#pragma once
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/storage_ways.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// What a quantised cache makes of a key, token by token: queries look at one element, of which
/// every other token has 0, so that the weights of two tokens tell the other's. Nothing with rope,
/// which turns what is written, or a softcap.
class StoredKeys {
 public:
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// `odd`: whether the tokens at odd positions have the element.
  void measure(Target& target, const Plan& plan, bool odd, double of_weights, Budget& budget);

  std::vector<StoredRead> wrong_;
  Where where_;
  size_t count_ = 0;
};

}  // namespace attnfuzz::measure
