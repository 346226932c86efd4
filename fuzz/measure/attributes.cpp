#include "fuzz/measure/attributes.h"

#include <algorithm>

namespace attnfuzz::measure {
namespace {

using Kind = Where::Attribute::Kind;

const Step& step_of(const Plan& plan, const Query& query) {
  return plan.c.steps[static_cast<size_t>(query.step)];
}

/// Operations that bring tokens.
struct Brings {
  StepOp op;
  const char *before, *came;
};
constexpr Brings brings[] = {
    {StepOp::prefill, "the step before is a prefill", "that came with a prefill"},
    {StepOp::append, "the step before is an append", "that came with an append"},
    {StepOp::decode, "the step before is a decode", "that came with a decode"},
};

/// The position of the row's first token (or query) of the query's step.
int64_t first_of_step(const Plan& plan, const Query& query) {
  if (!plan.c.cached()) return query.position - query.i;
  return query.position -
         (query.i - step_of(plan, query).first_query(static_cast<size_t>(query.b)));
}

void add_step(const Plan& plan, const Query& query, Where::Attributes& to) {
  const Case& c = plan.c;
  const auto step = static_cast<size_t>(query.step), b = static_cast<size_t>(query.b);
  Step at;
  at.q_len = c.problem.q_len;
  if (c.cached()) at = step_of(plan, query);
  const auto came = [&](StepOp op) {
    return std::any_of(c.steps.begin(), c.steps.begin() + static_cast<std::ptrdiff_t>(step),
                       [&](const Step& each) { return each.op == op; });
  };
  int64_t before = 0, padded = 0;
  for (size_t s = 0; s < step; ++s) {
    before += c.steps[s].has_tokens() ? 1 : 0;
    if (!c.steps[s].lens.empty()) padded += c.steps[s].keys() - c.steps[s].lens[b];
  }
  const int64_t past = first_of_step(plan, query);
  to.emplace_back("in the first step that brings tokens", before == 0);
  to.emplace_back("in a prefill", c.cached() && at.op == StepOp::prefill);
  to.emplace_back("in an append", c.cached() && at.op == StepOp::append);
  to.emplace_back("in a decode", at.op == StepOp::decode);
  to.emplace_back("after a reorder", came(StepOp::reorder));
  to.emplace_back("after a fork", came(StepOp::fork));
  to.emplace_back("after a crop", came(StepOp::crop));
  to.emplace_back("after a reset", came(StepOp::reset));
  to.emplace_back("after an evict", came(StepOp::evict));
  for (const Brings& each : brings)
    to.emplace_back(each.before, c.cached() && step > 0 && c.steps[step - 1].op == each.op);
  to.emplace_back("in a row with padding in the step", !at.lens.empty() && at.lens[b] < at.keys());
  to.emplace_back("padding in the row's steps before", padded, Kind::limit);
  to.emplace_back("tokens in the row before the step", past, Kind::limit);
  to.emplace_back("the step's q_len", at.q_len, Kind::limit);
  to.emplace_back("step", int64_t{query.step}, Kind::accident);
}

/// The number of the document that a query stands in; −1: in none.
int64_t document_of(const Case& c, const Query& query) {
  const RuleUse* documents = c.problem.mask.find("documents");
  if (documents == nullptr) return -1;
  int64_t end = 0, n = 0;
  for (const int64_t len : documents->list(0)) {
    end += len;
    if (query.position < end) return query.position < 0 ? -1 : n;
    ++n;
  }
  return -1;
}

/// What a padding mask of keys says where it is taken for one of queries.
void add_padding(const Plan& plan, const Query& query, int64_t q_len, Where::Attributes& to) {
  const Problem& p = plan.c.problem;
  const RuleUse* padding = p.mask.find("padding");
  const auto hides = [&](int64_t j) {
    if (padding == nullptr || j < 0 || j >= p.kv_len) return false;
    const int64_t len = padding->list(1)[static_cast<size_t>(query.b)];
    const bool right = padding->integer(0) == 1;
    return right ? j >= len : j < p.kv_len - len;
  };
  to.emplace_back("the padding mask hides the key of the query's number", hides(query.i));
  to.emplace_back("the padding mask hides the key as far from kv_len as the query from q_len",
                  hides(p.kv_len - q_len + query.i));
  to.emplace_back("q_len − kv_len", plan.c.cached() ? 0 : q_len - p.kv_len, Kind::difference);
}

void add_sizes(const Case& c, Where::Attributes& to) {
  const Problem& p = c.problem;
  to.emplace_back("batch", p.batch, Kind::accident);
  to.emplace_back("num_heads / num_kv_heads", p.num_heads / std::max<int64_t>(1, p.num_kv_heads),
                  Kind::accident);
  to.emplace_back("num_kv_heads", p.num_kv_heads, Kind::accident);
  to.emplace_back("head_dim", p.head_dim, Kind::accident);
  to.emplace_back("head_dim_v < head_dim", p.head_dim_v < p.head_dim);
  to.emplace_back("head_dim_v > head_dim", p.head_dim_v > p.head_dim);
  to.emplace_back("capacity", c.cached() ? c.cache->capacity : 0, Kind::accident);
  to.emplace_back("page_size", c.cached() ? c.cache->page_size : 0, Kind::accident);
  to.emplace_back("kv_len", p.kv_len, Kind::accident);
}

/// In which tile of its row's keys a key lies, for tiles of several sizes.
struct Tile {
  int64_t size;
  const char *first, *last, *rest, *compared;
};
constexpr Tile tiles[] = {
    {4, "in the first tile of 4 keys", "in the row's last tile of 4 keys", "key mod 4",
     "query mod 4 − kv_len mod 4"},
    {8, "in the first tile of 8 keys", "in the row's last tile of 8 keys", "key mod 8",
     "query mod 8 − kv_len mod 8"},
    {16, "in the first tile of 16 keys", "in the row's last tile of 16 keys", "key mod 16",
     "query mod 16 − kv_len mod 16"},
    {32, "in the first tile of 32 keys", "in the row's last tile of 32 keys", "key mod 32",
     "query mod 32 − kv_len mod 32"},
    {64, "in the first tile of 64 keys", "in the row's last tile of 64 keys", "key mod 64",
     "query mod 64 − kv_len mod 64"},
    {128, "in the first tile of 128 keys", "in the row's last tile of 128 keys", "key mod 128",
     "query mod 128 − kv_len mod 128"},
};

void add_tiles(int64_t key, int64_t count, int64_t page, Where::Attributes& to) {
  for (const Tile& tile : tiles) {
    to.emplace_back(tile.first, key < tile.size);
    to.emplace_back(tile.last, key / tile.size == (count - 1) / tile.size);
    to.emplace_back(tile.rest, key % tile.size, Kind::residue);
  }
  to.emplace_back("in the row's last page", page > 1 && key / page == (count - 1) / page);
}

/// A query's place in its tile against the keys of the last tile, as if a tile's rows were its
/// columns.
void add_remainders(int64_t query, int64_t count, Where::Attributes& to) {
  for (const Tile& tile : tiles)
    to.emplace_back(tile.compared, query % tile.size - count % tile.size, Kind::difference);
}

}  // namespace

Where::Attributes attributes_of(const Plan& plan, const Query& query) {
  const Problem& p = plan.c.problem;
  const int64_t q_len =
      plan.c.cached() ? plan.c.steps[static_cast<size_t>(query.step)].q_len : p.q_len;
  const int64_t group = p.num_heads / std::max<int64_t>(1, p.num_kv_heads);
  const RuleUse* padding = p.mask.find("padding");
  const int64_t lens =
      padding == nullptr ? query.i + 1 : padding->list(1)[static_cast<size_t>(query.b)];
  Where::Attributes all{
      {"batch row", int64_t{query.b}},
      {"query", query.i},
      {"queries behind it in its step", q_len - 1 - query.i},
      {"position", query.position, Kind::limit},
      {"keys seen", static_cast<int64_t>(query.keys.size()), Kind::limit},
      {"query head", int64_t{query.h}},
      {"KV head", p.kv_head(query.h)},
      {"KV head mod 2", p.kv_head(query.h) % 2, Kind::residue},
      {"query − the row's lens of the padding mask", query.i - lens},
      {"query head within its group", int64_t{query.h % std::max<int64_t>(1, group)}},
      {"document", document_of(plan.c, query)}};
  add_padding(plan, query, q_len, all);
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  add_remainders(query.i, static_cast<int64_t>(held.tokens.size()), all);
  add_step(plan, query, all);
  const bool bounded = plan.c.cached() && plan.c.cache->capacity > 0;
  all.emplace_back("position − capacity", bounded ? query.position - plan.c.cache->capacity : -1,
                   Kind::difference);
  add_sizes(plan.c, all);
  return all;
}

Where::Attributes attributes_of(const Plan& plan, const Query& query, const Held& held, size_t j) {
  const int64_t position = held.positions[j], distance = query.position - position;
  const auto count = static_cast<int64_t>(held.tokens.size());
  const int64_t page = plan.c.cached() ? std::max<int64_t>(1, plan.c.cache->page_size) : 1;
  const RuleUse* window = plan.c.problem.mask.find("window");
  const int64_t left = window == nullptr ? 0 : window->integer(0);
  const int64_t capacity = plan.c.cached() ? plan.c.cache->capacity : 0;
  const int64_t keep = plan.c.cached() ? plan.c.cache->keep : 0;
  Where::Attributes all{
      {"keys back from the query", distance},
      {"keys back − window.left", distance - left},
      {"keys back − capacity", distance - capacity},
      {"key", position},
      {"key − keep", position - keep, Kind::difference},
      {"2·key − keys in the row", 2 * static_cast<int64_t>(j) - count, Kind::difference},
      {"that came with the query's own step", held.tokens[j].step == query.step},
      {"that came with the first step", held.tokens[j].step == 0},
      {"tokens before the step's first",
       plan.c.cached() ? first_of_step(plan, query) - position : 0, Kind::number},
      {"keys behind it in the row", count - 1 - static_cast<int64_t>(j)},
      {"page", static_cast<int64_t>(j) / page},
      {"page mod 2", static_cast<int64_t>(j) / page % 2},
      {"slot of its page", static_cast<int64_t>(j) % page},
      {"key mod 2", position % 2},
      {"key mod 64", position % 64},
      {"steps since it came", int64_t{query.step} - held.tokens[j].step}};
  const auto came = static_cast<size_t>(held.tokens[j].step);
  for (const Brings& each : brings)
    all.emplace_back(each.came, plan.c.cached() && plan.c.steps[came].op == each.op);
  add_tiles(static_cast<int64_t>(j), count, page, all);
  for (const auto& attribute : attributes_of(plan, query)) all.push_back(attribute);
  return all;
}

}  // namespace attnfuzz::measure
