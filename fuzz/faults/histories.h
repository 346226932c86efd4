#pragma once
#include <cstdint>

#include "oracle/lower/cache_history.h"

namespace attnfuzz::fault {

/// A cache whose rows are read from slots that hold something else than they should.
struct SlotFault {
  /// The row that first writes to a shared page gets a copy of its keys, not of its values.
  bool tail_values_lost = false;
  bool values_stay_in_row = false;   ///< when rows are reordered or forked: keys alone are copied
  bool values_stay_in_slot = false;  ///< when an eviction moves keys up
  /// Which of a row's `count` slots is read for slot n, of pages of `page` slots.
  int64_t (*slot)(int64_t n, int64_t count, int64_t page) = nullptr;
};
Plan by_slots(const Case& c, const SlotFault& fault);

template <const SlotFault& fault>
Plan by_slots(const Case& c) {
  return by_slots(c, fault);
}

// Other histories than the right one
// ---------------------------------------------------------------

/// Rows that a fork made alike go on to share the page that is partly filled.
Plan tail_shared(const Case& c);
/// A full ring keeps each token in its last slot, and looks for it in slot position mod capacity.
Plan ring_stuck(const Case& c);
/// One buffer for all rows, which doubles when it is full, and then lacks each row's last token.
Plan growing_loses_last(const Case& c);
/// A ring that a single token fills drops its oldest token and keeps an empty slot before the new.
Plan ring_rolls_early(const Case& c);
/// Behind a later step's tokens its queries see as many slots more, which hold nothing yet, and
/// stand as many positions farther on.
Plan slots_ahead(const Case& c);

}  // namespace attnfuzz::fault
