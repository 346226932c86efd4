#pragma once
#include <cstdint>

#include "oracle/case.h"

namespace attnfuzz {

/// Positions [begin, end) of keys.
struct KeyRange {
  int64_t begin = 0, end = 0;

  bool empty() const { return begin >= end; }
  KeyRange within(const KeyRange& other) const;  ///< the intersection
  KeyRange joined(const KeyRange& other) const;  ///< the smallest range that holds both
};

/// The keys that the structural rules of a mask (all but boolean, bias and alibi) let the query at
/// position q_pos of batch row b see. Each rule's answer is one range, so their conjunction is too;
/// kernels need no mask in memory and can skip all tiles outside.
KeyRange visible_keys(const Problem& problem, int64_t b, int64_t q_pos, KeyRange keys);

}  // namespace attnfuzz
