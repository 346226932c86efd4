#include "fuzz/shrink.h"

#include <algorithm>
#include <iterator>

#include "oracle/work.h"

namespace attnfuzz {

void Shrunk::follow(Shrunk more) {
  c = std::move(more.c);
  std::move(more.history.begin(), more.history.end(), std::back_inserter(history));
  tried += more.tried;
  minimal = more.minimal;
}

namespace {

/// Those that leave at most half of the work, the least first: each try is cheap, and what is
/// accepted leads far.
std::vector<Reduction> big_steps(const Case& c) {
  std::vector<Reduction> steps = reductions(c);
  std::erase_if(steps, [most = work(c) / 2](const Reduction& step) { return work(step.c) > most; });
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Reduction& a, const Reduction& b) { return work(a.c) < work(b.c); });
  return steps;
}

/// From a long case to a short one, or to where no big step is left.
void shorten(Shrunk& shrunk, const std::function<bool(const Case&)>& still_fails, int64_t max_tries,
             const Stop& stop) {
  for (bool smaller = true; smaller && is_long(shrunk.c);) {
    smaller = false;
    for (Reduction& step : big_steps(shrunk.c)) {
      if (shrunk.tried == max_tries || (stop && stop())) return;
      ++shrunk.tried;
      if (!still_fails(step.c)) continue;
      shrunk.history.push_back(std::move(step.words));
      shrunk.c = std::move(step.c);
      smaller = true;
      break;
    }
  }
}

}  // namespace

Shrunk shrink(const Case& c, const std::function<bool(const Case&)>& still_fails, int64_t max_tries,
              const Stop& stop) {
  Shrunk shrunk;
  shrunk.c = c;
  shorten(shrunk, still_fails, max_tries, stop);
  std::vector<Reduction> next = reductions(shrunk.c);
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
