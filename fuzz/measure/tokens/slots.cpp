#include "fuzz/measure/tokens/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace attnfuzz::measure {
namespace {

/// What the rows of a batch hold before and after a step.
struct Batch {
  const Plan& plan;
  size_t step;
  std::vector<int64_t> past, total;  ///< by row: before the step, and after it

  int64_t longest() const { return *std::max_element(past.begin(), past.end()); }
  int64_t shortest() const { return *std::min_element(past.begin(), past.end()); }
  int64_t padded() const {
    int64_t sum = 0;
    for (size_t s = 0; s < step; ++s) sum += plan.c.steps[s].q_len;
    return sum;
  }
};

}  // namespace

/// The place of a row at which the first of a step's tokens is written.
struct SlotFacts::Write {
  const char* words;
  int64_t (*of)(const Batch&, size_t row);
};
/// The address of a row's key in the pool. `table`: the pages of each row.
struct SlotFacts::Read {
  using Tables = std::vector<std::vector<int64_t>>;
  const char* words;
  int64_t (*of)(const Batch&, const Tables& tables, size_t row, int64_t place);
};

/// The address in the pool at which the token of a place is written, in a row with these pages;
/// none: it is lost.
struct SlotFacts::Place {
  const char* words;
  std::optional<int64_t> (*of)(const std::vector<int64_t>& table, int64_t place, int64_t page);
};

struct SlotFacts::Law {
  /// Of which steps' tokens Place holds; the others are written as they should be.
  enum class Steps : uint8_t { all, decodes, others };
  const Write& write = writes()[0];
  Overflow overflow = Overflow::lost;
  const Place& place = places()[0];
  Steps steps = Steps::all;
  const Read& read = reads()[0];
  bool row_by_row = false;  ///< each row is written and read before the next one is written

  const Place& place_in(const Step& step) const {
    const bool decodes = step.op == StepOp::decode;
    return steps == Steps::all || decodes == (steps == Steps::decodes) ? place : places()[0];
  }
};

/// A cache that is filled as a law says.
class SlotFacts::Memory {
 public:
  Memory(const Plan& plan, const Law& law)
      : plan_(plan),
        law_(law),
        tables_(static_cast<size_t>(plan.c.problem.batch)),
        totals_(static_cast<size_t>(plan.c.problem.batch), 0) {}

  /// Writes what comes before a query of this step and row is answered: all rows' tokens, or where
  /// rows are served one after another those of the rows up to its own.
  void write_until(size_t step, size_t row) {
    for (; step_ <= step; ++step_) {
      if (!plan_.c.steps[step_].has_tokens()) continue;
      if (row_ == 0) begin_step();
      const size_t rows = totals_.size();
      const size_t end = law_.row_by_row && step_ == step ? row + 1 : rows;
      for (; row_ < end; ++row_) write(row_);
      if (row_ < rows) return;
      row_ = 0;
      totals_ = batch_->total;
    }
  }

  /// What a query takes for its keys: sources, and how many empty slots.
  std::pair<Uses, int64_t> taken(const Asked& asked) const {
    std::pair<Uses, int64_t> all;
    for (const size_t place : asked.places) {
      const auto found =
          slots_.find(law_.read.of(*batch_, tables_, asked.row, static_cast<int64_t>(place)));
      if (found == slots_.end())
        ++all.second;
      else
        ++all.first[plan_.source(found->second, asked.head)];
    }
    return all;
  }

 private:
  void begin_step() {
    batch_ = std::make_unique<Batch>(Batch{plan_, step_, totals_, totals_});
    for (size_t b = 0; b < totals_.size(); ++b) {
      const std::vector<Token>& tokens = plan_.held[step_][b].tokens;
      batch_->total[b] = static_cast<int64_t>(tokens.size());
      batch_->past[b] = std::count_if(tokens.begin(), tokens.end(), [this](const Token& token) {
        return token.step < static_cast<int32_t>(step_);
      });
    }
  }
  void write(size_t b) {
    const Held& held = plan_.held[step_][b];
    const int64_t first = first_place(*batch_, b);
    for (int64_t j = batch_->past[b]; j < batch_->total[b]; ++j) {
      reserve(b, j);
      const std::optional<int64_t> at =
          address(b, first + j - batch_->past[b], law_.place_in(plan_.c.steps[step_]));
      if (at) slots_[*at] = held.tokens[static_cast<size_t>(j)];
    }
  }

  int64_t first_place(const Batch& batch, size_t row) const {
    const int64_t first = law_.write.of(batch, row), capacity = plan_.c.cache->capacity,
                  count = batch.total[row] - batch.past[row];
    if (law_.overflow == Overflow::moved_back && capacity > 0 && first + count > capacity)
      return std::max<int64_t>(0, capacity - count);
    return first;
  }

  /// Pages are handed out one after another; without pages a row is as one page of any length.
  void reserve(size_t row, int64_t place) {
    while (static_cast<int64_t>(tables_[row].size()) * page_size() <= place)
      tables_[row].push_back(next_page_++);
  }
  std::optional<int64_t> address(size_t row, int64_t place, const Place& law) const {
    const int64_t capacity = plan_.c.cache->capacity;
    if (law_.overflow == Overflow::wrapped && capacity > 0 && place >= 0) place %= capacity;
    if (place < 0 || (capacity > 0 && place >= capacity)) return {};
    return law.of(tables_[row], place, page_size());
  }
  int64_t page_size() const { return page_size_of(plan_); }

 public:
  static int64_t page_size_of(const Plan& plan) {
    constexpr int64_t endless = int64_t{1} << 32;
    return plan.c.cache->page_size > 0 ? plan.c.cache->page_size : endless;
  }

 private:
  const Plan& plan_;
  const Law& law_;
  std::map<int64_t, Token> slots_;
  Read::Tables tables_;
  std::vector<int64_t> totals_;
  std::unique_ptr<Batch> batch_;
  int64_t next_page_ = 0;
  size_t step_ = 0, row_ = 0;  ///< that are written next
};

bool SlotFacts::only_grows(const Plan& plan) {
  if (!plan.c.cached() || plan.c.problem.recurrent() || plan.c.problem.memory_kv > 0) return false;
  for (size_t s = 0; s < plan.c.steps.size(); ++s) {
    const StepOp op = plan.c.steps[s].op;
    const bool shrinks = op == StepOp::crop || op == StepOp::reset;
    const bool grows = op == StepOp::prefill || op == StepOp::append || op == StepOp::decode;
    // Which pages are handed out once some were given back is another law.
    if (!grows && !(shrinks && plan.c.cache->page_size == 0)) return false;
    for (const Held& held : plan.held[s])
      for (size_t j = 0; j < held.positions.size(); ++j)
        if (held.positions[j] != static_cast<int64_t>(j)) return false;
  }
  return true;
}

void SlotFacts::add_case(const Plan& plan) {
  grows_ = only_grows(plan);
  if (grows_) seen_.push_back({std::make_shared<const Plan>(plan), {}});
}

void SlotFacts::add(const Plan& plan, const Query& query, const Reading& reading, bool wrong) {
  if (!grows_) return;
  Asked asked{static_cast<size_t>(query.step),
              static_cast<size_t>(query.b),
              {},
              plan.c.problem.kv_head(query.h),
              {},
              reading.zeros,
              reading.counted,
              wrong};
  for (const Key& key : query.keys) asked.places.push_back(key.place);
  for (const Use& use : reading.uses) asked.uses[use.source] += use.times;
  wrong_ += wrong ? 1 : 0;
  seen_.back().asked.push_back(std::move(asked));
}

/// `all`: of the right queries too; else of those that are wrong.
bool SlotFacts::explains(const Law& law, bool all) const {
  for (const Seen& seen : seen_) {
    Memory memory(*seen.plan, law);
    for (const Asked& asked : seen.asked) {  // they come by step and row
      memory.write_until(asked.step, asked.row);
      if (!all && !asked.wrong) continue;
      const auto [uses, zeros] = memory.taken(asked);
      if (uses != asked.uses) return false;
      // Of a query that takes no token nobody can tell how many zeros it counts.
      if (!uses.empty() && (!asked.counted || zeros != asked.zeros)) return false;
    }
  }
  return true;
}

std::span<const SlotFacts::Write> SlotFacts::writes() {
  static constexpr Write all[] = {
      {"", [](const Batch& batch, size_t b) { return batch.past[b]; }},
      {"the number of tokens that row 0 holds",
       [](const Batch& batch, size_t) { return batch.past[0]; }},
      {"the number of tokens that the longest row holds",
       [](const Batch& batch, size_t) { return batch.longest(); }},
      {"the number of tokens that the shortest row holds",
       [](const Batch& batch, size_t) { return batch.shortest(); }},
      {"the number of tokens that the row before holds",
       [](const Batch& batch, size_t b) {
         return batch.past[b == 0 ? batch.past.size() - 1 : b - 1];
       }},
      {"the sum of q_len of the steps before, padding among them",
       [](const Batch& batch, size_t) { return batch.padded(); }},
      {"0", [](const Batch&, size_t) { return int64_t{0}; }},
      {"the number of tokens that the row holds − 1",
       [](const Batch& batch, size_t b) { return batch.past[b] - 1; }},
      {"the number of tokens that the row holds + 1",
       [](const Batch& batch, size_t b) { return batch.past[b] + 1; }},
  };
  return all;
}

std::span<const SlotFacts::Read> SlotFacts::reads() {
  static constexpr Read all[] = {
      {"",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         const int64_t page = Memory::page_size_of(batch.plan);
         return tables[b][static_cast<size_t>(j / page)] * page + j % page;
       }},
      {"as if the pool held the batch's rows one behind the other without gaps",
       [](const Batch& batch, const Read::Tables&, size_t b, int64_t j) {
         for (size_t r = 0; r < b; ++r) j += batch.total[r];
         return j;
       }},
      {"in the pages of all rows, put one behind the other, from as many slots on as the rows "
       "before its own have tokens, though these take whole pages",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         const int64_t page = Memory::page_size_of(batch.plan);
         for (size_t r = 0; r < b; ++r) j += batch.total[r];
         size_t at = static_cast<size_t>(j / page);
         for (const std::vector<int64_t>& table : tables) {
           if (at < table.size()) return table[at] * page + j % page;
           at -= table.size();
         }
         return int64_t{-1};
       }},
      {"from the pool's start on",
       [](const Batch&, const Read::Tables&, size_t, int64_t j) { return j; }},
      {"from the row's first page on, as if its pages lay side by side",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         return tables[b][0] * Memory::page_size_of(batch.plan) + j;
       }},
      {"two pages at a time: behind every other page of the row the next one of the pool is read",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         const int64_t page = Memory::page_size_of(batch.plan), two = 2 * page;
         return tables[b][static_cast<size_t>(j / two * 2)] * page + j % two;
       }},
      {"four pages at a time: behind every fourth page of the row the next ones of the pool are "
       "read",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         const int64_t page = Memory::page_size_of(batch.plan), four = 4 * page;
         return tables[b][static_cast<size_t>(j / four * 4)] * page + j % four;
       }},
      {"at the page's number + the slot: the number is not multiplied by page_size",
       [](const Batch& batch, const Read::Tables& tables, size_t b, int64_t j) {
         const int64_t page = Memory::page_size_of(batch.plan);
         return tables[b][static_cast<size_t>(j / page)] + j % page;
       }},
      {"at batch row × capacity + the key's place, as if each row had its own part of the pool",
       [](const Batch& batch, const Read::Tables&, size_t b, int64_t j) {
         return static_cast<int64_t>(b) * batch.plan.c.cache->capacity + j;
       }},
  };
  return all;
}

std::span<const SlotFacts::Place> SlotFacts::places() {
  using Table = std::vector<int64_t>;
  using At = std::optional<int64_t>;
  static constexpr auto in_page = [](const Table& table, int64_t number, int64_t slot,
                                     int64_t page) -> At {
    if (number < 0 || number >= static_cast<int64_t>(table.size())) return {};
    return table[static_cast<size_t>(number)] * page + slot;
  };
  static constexpr Place all[] = {
      {"", [](const Table& t, int64_t j, int64_t p) -> At { return in_page(t, j / p, j % p, p); }},
      {"to the slot before its page where it fills the page, as if its slot were (place + 1) mod "
       "page_size − 1",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return in_page(t, j / p, (j + 1) % p - 1, p);
       }},
      {"to the page of the place behind its own, at its own slot",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return in_page(t, (j + 1) / p, j % p, p);
       }},
      {"to the page of the place before its own, at its own slot",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return in_page(t, std::max<int64_t>(0, j - 1) / p, j % p, p);
       }},
      {"one slot too late in its page, from the last slot to the first",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return in_page(t, j / p, (j + 1) % p, p);
       }},
      {"one slot too early in its page, from the first slot to the last",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return in_page(t, j / p, (j + p - 1) % p, p);
       }},
      {"to the row's first page, whichever is its own",
       [](const Table& t, int64_t j, int64_t p) -> At { return in_page(t, 0, j % p, p); }},
      {"to slot 0 of its page, whichever is its own",
       [](const Table& t, int64_t j, int64_t p) -> At { return in_page(t, j / p, 0, p); }},
      {"at the page's number + the slot: the number is not multiplied by page_size",
       [](const Table& t, int64_t j, int64_t p) -> At {
         return t[static_cast<size_t>(j / p)] + j % p;
       }},
  };
  return all;
}

std::string SlotFacts::write_words() const {
  for (size_t n = 1; n < writes().size(); ++n)
    for (const Overflow overflow : {Overflow::lost, Overflow::moved_back, Overflow::wrapped})
      if (explains(Law{.write = writes()[n], .overflow = overflow}, true))
        return fmt::format(
            "A step's tokens are written into their row from place n on, where n is {}, and should "
            "be "
            "the number of tokens that the row itself holds; queries take what then lies at the "
            "places of their keys.",
            writes()[n].words);
  return "";
}

bool SlotFacts::is_paged() const {
  return std::all_of(seen_.begin(), seen_.end(),
                     [](const Seen& seen) { return seen.plan->c.cache->page_size > 0; });
}

std::string SlotFacts::place_words() const {
  using Steps = Law::Steps;
  for (size_t n = 1; is_paged() && n < places().size(); ++n)
    for (const auto& [steps, words] :
         {std::pair{Steps::all, ""},
          {Steps::decodes, "that comes with a decode "},
          {Steps::others, "that comes with a step of several tokens "}})
      if (explains(Law{.place = places()[n], .steps = steps}, true) ||
          explains(Law{.place = places()[n], .steps = steps, .row_by_row = true}, true))
        return fmt::format(
            "A token {}is written {}; queries take what then lies in the slots of their keys.",
            words, places()[n].words);
  return "";
}

std::string SlotFacts::read_words() const {
  for (size_t n = 1; is_paged() && n < reads().size(); ++n)
    if (explains(Law{.read = reads()[n]}, false))
      return fmt::format(
          "The block table is not used as it should be: keys are read {} (pages are taken to be "
          "handed out in the order in which rows need them).",
          reads()[n].words);
  return "";
}

std::string SlotFacts::words() const {
  constexpr size_t enough = 4;  // wrong queries
  if (wrong_ < enough) return "";
  for (const auto find : {&SlotFacts::write_words, &SlotFacts::place_words, &SlotFacts::read_words})
    if (std::string words = (this->*find)(); !words.empty()) return words;
  return "";
}

}  // namespace attnfuzz::measure
