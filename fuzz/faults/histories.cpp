// Histories of a cache that go wrong where it happens: each does the right step and then spoils it.
#include "fuzz/faults/histories.h"

#include <algorithm>

#include "fuzz/faults/shared_pages.h"

namespace attnfuzz::fault {
namespace {

/// A right history that knows how many tokens a row brought in its last step.
class History : public CacheHistory {
 public:
  using CacheHistory::CacheHistory;

 protected:
  size_t added(size_t b, size_t index) {
    const Step& step = the_case().steps[index];
    return step.has_tokens() ? static_cast<size_t>(step.real_tokens(b)) : 0;
  }
  std::vector<size_t> sizes() {
    std::vector<size_t> sizes;
    for (const Row& row : rows()) sizes.push_back(row.entries.size());
    return sizes;
  }
};

void lose(KeyEntry& entry) {
  entry.key = entry.value = no_token;
}

class TailShared : public History {
 public:
  explicit TailShared(const Case& c) : History(c), pages_(c) {}

  void apply(size_t index) override {
    History::apply(index);
    pages_.copied(the_case().steps[index], sizes());
    for (size_t b = 0; b < rows().size(); ++b) {
      const size_t size = rows()[b].entries.size();
      for (size_t slot = size - added(b, index); slot < size; ++slot) write(b, slot, index);
    }
  }

 private:
  void write(size_t b, size_t slot, size_t index) {
    const Step& step = the_case().steps[index];
    const size_t before = rows()[b].entries.size() - added(b, index);
    const Token token{static_cast<int32_t>(index), static_cast<int32_t>(b),
                      step.first_real(b) + static_cast<int64_t>(slot - before)};
    const auto put = [&](KeyEntry& entry) { entry.key = entry.value = token; };
    put(rows()[b].entries[slot]);
    for (const SharedPages::Pair& pair : pages_.pairs()) {
      if (!pair.has(b) || slot < pair.begin || slot >= pair.end) continue;
      std::vector<KeyEntry>& other = rows()[pair.other(b)].entries;
      if (slot < other.size()) put(other[slot]);
    }
  }

  SharedPages pages_;
};

/// Slots of a ring, filled when a step is over.
class RingStuck : public History {
 public:
  explicit RingStuck(const Case& c)
      : History(c),
        slots_(static_cast<size_t>(c.problem.batch),
               std::vector<Token>(static_cast<size_t>(c.cache->capacity), no_token)) {}

  void apply(size_t index) override {
    const Step& step = the_case().steps[index];
    const int64_t newest = the_case().cache->capacity - 1;
    for (size_t b = 0; b < rows().size(); ++b)
      for (const KeyEntry& entry : rows()[b].entries)
        if (is_fresh(entry))
          slots_[b][static_cast<size_t>(std::min(entry.position, newest))] = entry.key;
    const std::vector<std::vector<Token>> old = slots_;
    for (size_t b = 0; b < slots_.size(); ++b)
      if (step.op == StepOp::reorder) slots_[b] = old[static_cast<size_t>(step.rows[b])];
    if (step.op == StepOp::fork)
      slots_[static_cast<size_t>(step.to)] = old[static_cast<size_t>(step.from)];
    step_ = index;
    History::apply(index);
  }

  StepPlan plan() const override {
    StepPlan step = History::plan();
    for (size_t b = 0; b < step.rows.size(); ++b) {
      step.rows[b].keys.clear();
      for (KeyEntry entry : entries(static_cast<int64_t>(b))) {
        if (!is_fresh(entry))
          entry.key = entry.value =
              slots_[b][static_cast<size_t>(entry.position % the_case().cache->capacity)];
        step.rows[b].add(entry);
      }
    }
    return step;
  }

 private:
  bool is_fresh(const KeyEntry& entry) const {
    return entry.key.step == static_cast<int64_t>(step_);
  }

  std::vector<std::vector<Token>> slots_;
  size_t step_ = 0;
};

class GrowingLosesLast : public History {
 public:
  explicit GrowingLosesLast(const Case& c)
      : History(c), room_(static_cast<size_t>(c.cache->capacity)) {}

  void apply(size_t index) override {
    History::apply(index);
    for (size_t b = 0; b < rows().size(); ++b) {
      const size_t needed = rows()[b].entries.size();
      if (needed <= room_) continue;
      room_ = std::max(needed, 2 * room_);
      for (size_t r = 0; r < rows().size(); ++r) {  // rows before b have their tokens by then
        std::vector<KeyEntry>& entries = rows()[r].entries;
        const size_t size = entries.size() - (r < b ? 0 : added(r, index));
        if (size > 0) lose(entries[size - 1]);
      }
    }
  }

 private:
  size_t room_;
};

class RingRollsEarly : public History {
 public:
  using History::History;

  void apply(size_t index) override {
    History::apply(index);
    for (size_t b = 0; b < rows().size(); ++b)
      if (added(b, index) == 1) roll(rows()[b]);
  }

 private:
  /// Angles stay those of when the tokens came.
  void roll(Row& row) {
    std::vector<KeyEntry>& entries = row.entries;
    if (row.next != the_case().cache->capacity || entries.size() < 2) return;
    for (KeyEntry& entry : entries) --entry.position;
    entries.back().position = row.next - 1;
    lose(entries.front());
    entries.front().position = row.next - 2;
    std::rotate(entries.begin(), entries.begin() + 1, entries.end() - 1);
  }
};

class SlotsAhead : public History {
 public:
  using History::History;

  void apply(size_t index) override {
    for (Row& row : rows())  // what the step before showed
      std::erase_if(row.entries, [&](const KeyEntry& e) { return e.position >= row.next; });
    History::apply(index);
    step_ = index;
    ahead_ = index > 0 ? the_case().steps[index].q_len : 0;
    for (Row& row : rows()) {
      const auto room = the_case().cache->capacity - static_cast<int64_t>(row.entries.size());
      for (int64_t n = 0; n < std::min(ahead_, room); ++n)
        row.entries.push_back({no_token, no_token, row.next + n, row.next + n});
    }
  }

  StepPlan plan() const override {
    StepPlan step = History::plan();
    for (size_t b = 0; b < step.rows.size(); ++b) {
      step.rows[b].keys.clear();
      for (KeyEntry entry : entries(static_cast<int64_t>(b))) {
        const bool is_new = entry.key == no_token || entry.key.step == static_cast<int64_t>(step_);
        if (is_new) entry.position -= ahead_;
        step.rows[b].add(entry);
      }
    }
    return step;
  }

 private:
  size_t step_ = 0;
  int64_t ahead_ = 0;
};

/// What lies in each row's slots, with a wrong move.
class Slots : public History {
 public:
  Slots(const Case& c, const SlotFault& fault)
      : History(c), fault_(fault), pages_(c), slots_(static_cast<size_t>(c.problem.batch)) {}

  void apply(size_t index) override {
    const Step& step = the_case().steps[index];
    const std::vector<size_t> before = sizes();
    History::apply(index);
    if (step.op == StepOp::reorder || step.op == StepOp::fork) copy(step);
    if (step.op == StepOp::evict)
      for (size_t b = 0; b < slots_.size(); ++b) move_up(slots_[b], step, before[b]);
    for (size_t b = 0; b < slots_.size(); ++b) {
      const std::vector<KeyEntry>& entries = rows()[b].entries;
      for (size_t slot = entries.size() - added(b, index); slot < entries.size(); ++slot)
        fill(b, slot, entries[slot].key);
    }
  }

  StepPlan plan() const override {
    StepPlan step = History::plan();
    for (size_t b = 0; b < step.rows.size(); ++b) {
      const auto held = entries(static_cast<int64_t>(b));
      step.rows[b].keys.clear();
      for (size_t j = 0; j < held.size(); ++j) {
        KeyEntry entry = held[j];
        const size_t slot = slot_of(j, held.size());
        entry.key = in(slots_[b].k, slot);
        entry.value = in(slots_[b].v, slot);
        step.rows[b].add(entry);
      }
    }
    return step;
  }

 private:
  struct RowSlots {
    std::vector<Token> k, v;
  };

  static Token in(const std::vector<Token>& slots, size_t slot) {
    return slot < slots.size() ? slots[slot] : no_token;
  }

  size_t slot_of(size_t j, size_t count) const {
    if (fault_.slot == nullptr) return j;
    return static_cast<size_t>(fault_.slot(static_cast<int64_t>(j), static_cast<int64_t>(count),
                                           static_cast<int64_t>(pages_.page())));
  }

  void copy(const Step& step) {
    const std::vector<RowSlots> old = slots_;
    const auto copy_row = [&](size_t to, size_t from) {
      slots_[to].k = old[from].k;
      if (fault_.values_stay_in_row)  // all those of the row's slots
        slots_[to].v.resize(std::max(old[to].v.size(), old[from].v.size()), no_token);
      else
        slots_[to].v = old[from].v;
    };
    if (step.op == StepOp::fork)
      copy_row(static_cast<size_t>(step.to), static_cast<size_t>(step.from));
    for (size_t b = 0; step.op == StepOp::reorder && b < slots_.size(); ++b)
      copy_row(b, static_cast<size_t>(step.rows[b]));
    pages_.copied(step, sizes());
  }

  void move_up(RowSlots& row, const Step& step, size_t size) const {
    const int64_t count = step.evicted(static_cast<int64_t>(size));
    if (count == 0) return;
    for (size_t to = static_cast<size_t>(step.start), from = to + static_cast<size_t>(count);
         from < size; ++to, ++from) {
      row.k[to] = row.k[from];
      if (!fault_.values_stay_in_slot) row.v[to] = row.v[from];
    }
  }

  void fill(size_t b, size_t slot, const Token& token) {
    RowSlots& row = slots_[b];
    if (fault_.tail_values_lost) {
      const size_t page = pages_.page();
      for (const SharedPages::Pair& pair : pages_.pairs())
        for (size_t n = slot / page * page; pair.has(b) && n < slot; ++n) row.v[n] = no_token;
      pages_.leave(b);
    }
    for (std::vector<Token>* slots : {&row.k, &row.v}) {
      if (slots->size() <= slot) slots->resize(slot + 1, no_token);
      (*slots)[slot] = token;
    }
  }

  const SlotFault& fault_;
  SharedPages pages_;
  std::vector<RowSlots> slots_;
};

template <class Other>
Plan by(const Case& c) {
  Other history(c);
  return lower(c, history);
}

}  // namespace

Plan by_slots(const Case& c, const SlotFault& fault) {
  Slots history(c, fault);
  return lower(c, history);
}
Plan tail_shared(const Case& c) {
  return by<TailShared>(c);
}
Plan ring_stuck(const Case& c) {
  return by<RingStuck>(c);
}
Plan growing_loses_last(const Case& c) {
  return by<GrowingLosesLast>(c);
}
Plan ring_rolls_early(const Case& c) {
  return by<RingRollsEarly>(c);
}
Plan slots_ahead(const Case& c) {
  return by<SlotsAhead>(c);
}

}  // namespace attnfuzz::fault
