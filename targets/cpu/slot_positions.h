#pragma once
#include <vector>

#include "targets/cpu/block.h"

namespace attnfuzz {

/// Where the tokens in the slots of each row stand, once some were evicted: slots move up,
/// positions need not.
class SlotPositions {
 public:
  SlotPositions(int64_t batch, Positions after_eviction)
      : rows_(static_cast<size_t>(batch)), after_eviction_(after_eviction) {}

  /// Does what the step does, but for its tokens: see append.
  void follow(const Step& step);
  void append(int64_t b, int64_t count);

  int64_t next(int64_t b) const { return rows_[static_cast<size_t>(b)].next; }
  /// `segment`, whose tokens are numbered by their slots, in parts that are numbered by position.
  void split(int64_t b, const KeySegment& segment, std::vector<KeySegment>& to) const;

 private:
  struct Row {
    std::vector<int64_t> of_slot;
    int64_t next = 0;  ///< position of the next token
  };
  void crop(Row& row, int64_t length) const;
  void evict(Row& row, const Step& step) const;

  std::vector<Row> rows_;
  Positions after_eviction_;
};

}  // namespace attnfuzz
