#pragma once
#include <string>
#include <vector>

#include "fuzz/measure/experiment.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/storage_ways.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// What a quantised cache makes of a value: all tokens have the same one, of several sizes, so that
/// out is what is read from the cache.
class StorageFacts {
 public:
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  std::vector<StoredRead> wrong_;
  Where where_;
  size_t count_ = 0;
};

}  // namespace attnfuzz::measure
