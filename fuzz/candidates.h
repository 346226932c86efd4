#pragma once
#include <fmt/format.h>

#include <algorithm>

#include "fuzz/shrink.h"

namespace attnfuzz {

/// Whether all that the case reads is given, or nothing is: a reduction brings no number along.
bool is_given_whole(const Case& c);

/// Takes what the table's entries offer and keeps what is a valid case.
class Candidates {
 public:
  explicit Candidates(std::vector<Reduction>& to) : to_(to) {}

  void add(std::string words, Case c) {
    if (is_valid(c) && is_given_whole(c)) to_.push_back({std::move(words), std::move(c)});
  }

  /// One for each value that `value` can be lowered to: the least first, then in steps that halve.
  /// Steps are powers of two, so a size that has to stay a multiple of one can still be lowered.
  template <class Set>
  void lower(std::string_view what, const Case& c, int64_t value, int64_t least, const Set& set) {
    std::vector<int64_t> values;
    if (value > least) values = {least, (value + least) / 2};
    for (int64_t step = 1; step < value - least; step *= 2) values.push_back(value - step);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    for (const int64_t lower : values) {
      Case changed = c;
      set(changed, lower);
      add(fmt::format("{} {} → {}", what, value, lower), std::move(changed));
    }
  }

 private:
  std::vector<Reduction>& to_;
};

// The entries for caches (fuzz/reduce_cache.cpp): see the table in fuzz/reductions.cpp.
void drop_cache(const Case& c, Candidates& candidates);
void drop_steps(const Case& c, Candidates& candidates);
void merge_steps(const Case& c, Candidates& candidates);
void simpler_cache(const Case& c, Candidates& candidates);
void simpler_steps(const Case& c, Candidates& candidates);

// The entries for given tensors (fuzz/reduce_given.cpp).
void generated_data(const Case& c, Candidates& candidates);
void fewer_given(const Case& c, Candidates& candidates);
void plainer_given(const Case& c, Candidates& candidates);
/// What weight() counts a given number for: 0 is the plainest, then 1, then numbers of few bits.
uint64_t given_cost(double x);

}  // namespace attnfuzz
