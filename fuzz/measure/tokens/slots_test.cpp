#include "fuzz/measure/tokens/slots.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace attnfuzz::measure {
namespace {

/// A prefill of 5 and 3 tokens, and an append of 2 to each of both rows.
Case grown(CacheKind kind, int64_t page_size) {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.head_dim = c.problem.head_dim_v = 4;
  c.cache = Cache{};
  c.cache->kind = kind;
  c.cache->capacity = 12;
  c.cache->page_size = page_size;
  c.steps.resize(2);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 5;
  c.steps[0].lens = {5, 3};
  c.steps[1].op = StepOp::append;
  c.steps[1].q_len = 2;
  return c;
}

/// What a slot holds: the place of a row's token; nothing: zeros.
struct Held {
  size_t row, place;
};

/// What is said where a query of the append that should take a key takes content(row, place) for
/// it; in the prefill all is right.
std::string said(const Case& c,
                 const std::function<std::optional<Held>(size_t row, size_t place)>& content) {
  const Plan plan = declared(c);
  SlotFacts slots;
  slots.add_case(plan);
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    Reading reading;
    reading.query = n;
    reading.counted = true;
    bool wrong = false;
    for (const Key& key : query.keys) {
      const auto row = static_cast<size_t>(query.b);
      const std::optional<Held> held =
          query.step == 0 ? std::optional(Held{row, key.place}) : content(row, key.place);
      wrong |= !held || held->row != row || held->place != key.place;
      if (!held) {
        ++reading.zeros;
        continue;
      }
      const size_t source =
          plan.source(plan.held[1][held->row].tokens[held->place], c.problem.kv_head(query.h));
      reading.uses.push_back({source, 0, 1});
    }
    slots.add(plan, query, reading, wrong);
  }
  return slots.words();
}

TEST(Slots, TellTokensThatAreWrittenAtAnotherRowsEnd) {
  const std::string words =
      said(grown(CacheKind::fixed, 0), [](size_t row, size_t place) -> std::optional<Held> {
        if (row == 1 && place >= 3) return std::nullopt;  // they lie at 5 and 6
        return Held{row, place};
      });
  EXPECT_NE(words.find("where n is the number of tokens that row 0 holds"), std::string::npos)
      << words;
}

/// Row 0 has 7 tokens in 4 pages of 2.
TEST(Slots, TellPagesThatAreCountedAsTokens) {
  const std::string words =
      said(grown(CacheKind::paged, 2), [](size_t row, size_t place) -> std::optional<Held> {
        if (row == 0) return Held{row, place};
        if (place == 0) return std::nullopt;  // row 0's slot that nothing was written to
        return Held{row, place - 1};
      });
  EXPECT_NE(words.find("from as many slots on as the rows before its own have tokens"),
            std::string::npos)
      << words;
}

/// Pages of 2 tokens: row 0 has the pages 0, 1, 2 and 5, row 1 has 3, 4 and 6.
TEST(Slots, TellABlockTableThatIsNotUsed) {
  constexpr Held pool[] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {1, 0},
                           {1, 1}, {1, 2}, {1, 3}, {0, 6}, {0, 7}, {1, 4}};
  const std::string words =
      said(grown(CacheKind::paged, 2), [&](size_t row, size_t place) -> std::optional<Held> {
        const size_t at = (row == 0 ? 0 : 7) + place;
        if (pool[at].row == 0 && pool[at].place > 6) return std::nullopt;  // not written
        return pool[at];
      });
  EXPECT_NE(words.find("the pool held the batch's rows one behind the other"), std::string::npos)
      << words;
}

/// Pages of 2 tokens: row 0 has the pages 0, 1 and 2, row 1 has 3 and 4. Tokens 5 and 3, which fill
/// pages 2 and 4, go to the slots before these, where tokens 3 and 1 lie.
TEST(Slots, TellTokensThatGoBeforeTheirPage) {
  Case c = grown(CacheKind::paged, 2);
  c.steps[1].op = StepOp::decode;
  c.steps[1].q_len = 1;
  const std::string words = said(c, [](size_t row, size_t place) -> std::optional<Held> {
    const size_t filling = row == 0 ? 5 : 3;
    if (place == filling) return std::nullopt;
    return Held{row, place == filling - 2 ? filling : place};
  });
  EXPECT_NE(words.find("A token that comes with a decode is written to the slot before its page"),
            std::string::npos)
      << words;
}

TEST(Slots, SayNothingWhereNoLawHolds) {
  EXPECT_EQ(said(grown(CacheKind::fixed, 0),
                 [](size_t row, size_t place) {
                   return std::optional(Held{row, place == 2 ? 1 : place});
                 }),
            "");
}

}  // namespace
}  // namespace attnfuzz::measure
