#include "fuzz/shrink.h"

#include <algorithm>
#include <iterator>

namespace attnfuzz {

void Shrunk::follow(Shrunk more) {
  c = std::move(more.c);
  std::move(more.history.begin(), more.history.end(), std::back_inserter(history));
  tried += more.tried;
  minimal = more.minimal;
}

Shrunk shrink(const Case& c, const std::function<bool(const Case&)>& still_fails, int64_t max_tries,
              const Stop& stop) {
  Shrunk shrunk;
  shrunk.c = c;
  std::vector<Reduction> next = reductions(c);
  size_t at = 0, refused = 0;  // the next reduction to try; how many were refused in a row
  while (refused < next.size()) {
    if (shrunk.tried == max_tries || (stop && stop())) return shrunk;
    ++shrunk.tried;
    at %= next.size();
    if (!still_fails(next[at].c)) {
      ++at;
      ++refused;
      continue;
    }
    shrunk.history.push_back(std::move(next[at].words));
    shrunk.c = std::move(next[at].c);
    next = reductions(shrunk.c);  // go on at the same place in the table
    refused = 0;
  }
  shrunk.minimal = true;
  return shrunk;
}

}  // namespace attnfuzz
