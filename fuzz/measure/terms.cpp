#include "fuzz/measure/terms.h"

#include <algorithm>

namespace attnfuzz::measure {
namespace {

/// What a batch row holds while a step's queries look at it.
struct RowCount {
  int64_t tokens = 0, came = 0;  ///< in all, and with the step
  int64_t gone = 0;              ///< that it held before: how much farther its last one stands
  int64_t past() const { return tokens - came; }
  int64_t next() const { return past() + gone; }  ///< the first position of the step
};

/// How much the row that has the most is ahead of row `b`.
int64_t behind(const std::vector<RowCount>& rows, size_t b, int64_t (RowCount::*of)() const) {
  int64_t most = 0;
  for (const RowCount& row : rows) most = std::max(most, (row.*of)());
  return most - (rows[b].*of)();
}

std::vector<RowCount> counts_of(const Plan& plan, int32_t step) {
  std::vector<RowCount> all;
  for (const Held& held : plan.held[static_cast<size_t>(step)]) {
    RowCount row{static_cast<int64_t>(held.tokens.size()), 0};
    if (!held.positions.empty()) row.gone = held.positions.back() + 1 - row.tokens;
    row.came = std::count_if(held.tokens.begin(), held.tokens.end(),
                             [=](const Token& token) { return token.step == step; });
    all.push_back(row);
  }
  return all;
}

int64_t list_value(const Case& c, std::string_view rule, size_t param, const Query& query) {
  const RuleUse* use = c.problem.mask.find(rule);
  return use == nullptr ? 0 : use->list(param)[static_cast<size_t>(query.b)];
}

}  // namespace

Terms terms_of(const Plan& plan, const Query& query, int32_t step) {
  const Case& c = plan.c;
  const auto at = static_cast<size_t>(query.step), b = static_cast<size_t>(query.b);
  const int64_t q_len = c.cached() ? c.steps[at].q_len : c.problem.q_len;
  const int64_t first = c.cached() ? c.steps[at].first_query(b) : 0;
  const int64_t past = query.position - (query.i - first);
  const int64_t of_keys = step < 0 || !c.cached() ? 0 : c.steps[static_cast<size_t>(step)].q_len;
  const int64_t page = c.cached() ? std::max<int64_t>(1, c.cache->page_size) : 1;
  const RuleUse* window = c.problem.mask.find("window");
  const RuleUse* chunk = c.problem.mask.find("chunk");
  const int64_t padded = c.problem.mask.find("padding") == nullptr
                             ? 0
                             : c.problem.kv_len - list_value(c, "padding", 1, query);
  const std::vector<RowCount> rows = counts_of(plan, query.step);
  const int64_t held = behind(rows, b, &RowCount::past), place = behind(rows, b, &RowCount::next);
  const bool has_step = step >= 0 && c.cached();
  const int64_t past_of_row = rows[b].past();
  const std::vector<RowCount> then = has_step ? counts_of(plan, step) : rows;
  const int64_t held_then = has_step ? behind(then, b, &RowCount::past) : 0,
                place_then = has_step ? behind(then, b, &RowCount::next) : 0;
  int64_t before = 0, new_before = 0, unused_before = 0;
  for (size_t n = 0; n < b; ++n) {
    before += rows[n].tokens;
    new_before += rows[n].came;
    unused_before += (page - rows[n].tokens % page) % page;
  }
  return {
      {"the step's q_len", q_len},
      {c.cached() ? "the tokens in the row before the step"
                  : "the distance of a query's position from its number (kv_len − q_len)",
       past},
      {"its place in the step", query.i - first},
      {"its position", query.position},
      {"the padding before it", first},
      {"the tokens of the longest row before the step − those of its own row", held},
      {"the tokens of row 0 before the step − those of its own row", rows[0].past() - past_of_row},
      {"the tokens of row 0 before the keys' step − those of its own row then",
       then[0].past() - then[b].past()},
      {"how many more tokens than before the keys' step the longest row has before the step, than "
       "its own row",
       held - held_then},
      {"the tokens of the longest row before the step − those of its own row (forgotten ones "
       "counted)",
       place},
      {"how many more tokens (forgotten ones counted) than before the keys' step the longest row "
       "has "
       "before the step, than its own row",
       place - place_then},
      {"the tokens that its row gave up before the step (evicted, or forgotten)", rows[b].gone},
      {"the tokens that its row gave up between the keys' step and its own",
       rows[b].gone - then[b].gone},
      {"the tokens in the rows before its own", before},
      {"the tokens that came in the step in the rows before its own", new_before},
      {"the unused slots at the ends of the pages of the rows before its own", unused_before},
      {"the unused slots at the end of its row's last page", (page - rows[b].tokens % page) % page},
      {"the tokens in its last page", rows[b].tokens % page},
      {"the padded places of its row in the step", q_len - rows[b].came},
      {"batch row × the step's q_len", query.b * q_len},
      {"batch row × (the step's q_len − that of the keys' step)", query.b * (q_len - of_keys)},
      {"batch row × kv_len", query.b * c.problem.kv_len},
      {"the batch row", query.b},
      {"the query head", query.h},
      {"the KV head", c.problem.kv_head(query.h)},
      {"kv_len − q_len", c.problem.kv_len - c.problem.q_len},
      {"the window's left", window == nullptr ? 0 : window->integer(0)},
      {"the window's right", window == nullptr ? 0 : window->integer(1)},
      {"the chunk's size", chunk == nullptr ? 0 : chunk->integer(0)},
      {"the row's prefix", list_value(c, "prefix", 0, query)},
      {"the padded keys of its row", padded},
      {"the cache's capacity", c.cached() ? c.cache->capacity : 0},
      {"num_kv_heads", c.problem.num_kv_heads},
      {"memory_kv", c.problem.memory_kv}};
}

}  // namespace attnfuzz::measure
