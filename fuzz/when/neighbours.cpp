#include "fuzz/when/neighbours.h"

#include "fuzz/mutate.h"
#include "fuzz/shrink.h"

namespace attnfuzz::when {

std::vector<Case> neighbours(const Case& shrunk, size_t most) {
  std::vector<Case> smaller, moved = with_numbers_moved(shrunk), all;
  for (Reduction& reduction : reductions(shrunk)) smaller.push_back(std::move(reduction.c));
  // Half of each, evenly, where they are too many.
  for (const std::vector<Case>* from : {&smaller, &moved}) {
    const size_t stride = 1 + 2 * from->size() / (most + 1);
    for (size_t n = 0; n < from->size(); n += stride) all.push_back((*from)[n]);
  }
  return all;
}

}  // namespace attnfuzz::when
