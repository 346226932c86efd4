#include "targets/cpu/slot_positions.h"

#include <algorithm>
#include <numeric>

namespace attnfuzz {

void SlotPositions::follow(const Step& step) {
  const std::vector<Row> old = step.op == StepOp::reorder ? rows_ : std::vector<Row>();
  if (step.op == StepOp::fork)
    rows_[static_cast<size_t>(step.to)] = rows_[static_cast<size_t>(step.from)];
  for (size_t b = 0; b < rows_.size(); ++b) {
    if (step.op == StepOp::reorder) rows_[b] = old[static_cast<size_t>(step.rows[b])];
    if (step.op == StepOp::crop) crop(rows_[b], step.length);
    if (step.op == StepOp::evict) evict(rows_[b], step);
    if (step.op == StepOp::reset) rows_[b] = {};
  }
}

void SlotPositions::append(int64_t b, int64_t count) {
  Row& row = rows_[static_cast<size_t>(b)];
  for (int64_t i = 0; i < count; ++i) row.of_slot.push_back(row.next++);
}

void SlotPositions::split(int64_t b, const KeySegment& segment, std::vector<KeySegment>& to) const {
  const std::vector<int64_t>& of_slot = rows_[static_cast<size_t>(b)].of_slot;
  for (int64_t done = 0; done < segment.count;) {
    const auto slot = static_cast<size_t>(segment.first + done);
    int64_t count = 1;
    while (done + count < segment.count &&
           of_slot[slot + static_cast<size_t>(count)] == of_slot[slot] + count)
      ++count;
    KeySegment part = segment;
    part.k += done * segment.k_stride;
    part.v += done * segment.v_stride;
    part.first = of_slot[slot];
    part.count = count;
    to.push_back(part);
    done += count;
  }
}

void SlotPositions::crop(Row& row, int64_t length) const {
  const auto stay = static_cast<size_t>(length);
  if (stay >= row.of_slot.size()) return;
  row.next = row.of_slot[stay];
  row.of_slot.resize(stay);
}

void SlotPositions::evict(Row& row, const Step& step) const {
  const int64_t count = step.evicted(static_cast<int64_t>(row.of_slot.size()));
  if (count == 0) return;
  row.of_slot.erase(row.of_slot.begin() + step.start, row.of_slot.begin() + step.start + count);
  if (after_eviction_ == Positions::kept) return;
  std::iota(row.of_slot.begin(), row.of_slot.end(), 0);
  row.next = static_cast<int64_t>(row.of_slot.size());
}

}  // namespace attnfuzz
