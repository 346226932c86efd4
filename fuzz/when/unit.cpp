#include "fuzz/when/unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "fuzz/measure/attributes.h"
#include "fuzz/signature.h"
#include "oracle/feature_set.h"

namespace attnfuzz::when {
namespace {

using measure::Where;
using Kind = Where::Attribute::Kind;

/// Numbers of tokens, which may be compared with each other.
enum Number : uint8_t {
  q_len,
  keys,  ///< kv_len, or what the row holds
  past,
  longest,
  capacity,
  page_size,
  left,
  right,
  chunk,
  keep,
  prefix,
  memory,
  number_count
};
constexpr std::array<const char*, number_count> plain_names{
    "q_len",     "kv_len",     "the past tokens", "the longest row's keys",
    "capacity",  "page_size",  "window.left",     "window.right",
    "the chunk", "cache.keep", "the prefix",      "memory_kv"};
/// What a number is that the case does not have: less than any.
constexpr int64_t absent = -(int64_t{1} << 40);
using Numbers = std::array<int64_t, number_count>;

/// Those that a mask and a cache have. A batch may have no row.
Numbers limits_of(const Case& c, size_t row) {
  Numbers all;
  all.fill(absent);
  const Problem& p = c.problem;
  if (const RuleUse* window = p.mask.find("window")) {
    all[left] = window->integer(0);
    all[right] = window->integer(1);
  }
  if (const RuleUse* chunks = p.mask.find("chunk")) all[chunk] = chunks->integer(0);
  const RuleUse* rule = p.mask.find("prefix");
  if (rule != nullptr && row < rule->list(0).size()) all[prefix] = rule->list(0)[row];
  if (p.memory_kv > 0) all[memory] = p.memory_kv;
  if (!c.cached()) return all;
  if (c.cache->capacity > 0) all[capacity] = c.cache->capacity;
  if (c.cache->page_size > 0) all[page_size] = c.cache->page_size;
  if (c.cache->keep > 0) all[keep] = c.cache->keep;
  return all;
}

/// Names of pairs and remainders are made once: attributes refer to them.
const std::string& difference_name(size_t a, size_t b) {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const char* first : plain_names)
      for (const char* second : plain_names) all.push_back(fmt::format("{} − {}", first, second));
    return all;
  }();
  return names[a * number_count + b];
}

constexpr std::array<int64_t, 8> tiles{2, 4, 8, 16, 32, 64, 128, 256};

/// What a size leaves when divided by tiles.
struct Divided {
  explicit Divided(const char* name) {
    for (const int64_t tile : tiles) names.push_back(fmt::format("{} mod {}", name, tile));
    names.push_back(fmt::format("{} mod page_size", name));
  }
  void add(int64_t size, int64_t page, Where::Attributes& to) const {
    for (size_t n = 0; n < tiles.size(); ++n)
      to.emplace_back(names[n], size < 0 ? 0 : size % tiles[n], Kind::residue);
    to.emplace_back(names.back(), page <= 0 || size < 0 ? 0 : size % page, Kind::residue);
  }
  std::vector<std::string> names;
};

void add_numbers(const Numbers& numbers, Where::Attributes& to) {
  for (size_t n = 0; n < number_count; ++n)
    to.emplace_back(plain_names[n], std::max<int64_t>(numbers[n], -1), Kind::limit);
  for (size_t a = 0; a < number_count; ++a)
    for (size_t b = a + 1; b < number_count; ++b) {
      const bool both = numbers[a] != absent && numbers[b] != absent;
      to.emplace_back(difference_name(a, b), both ? numbers[a] - numbers[b] : absent,
                      Kind::difference);
    }
  static const Divided of_q("q_len"), of_keys("kv_len"), of_past("the past tokens"),
      of_left("window.left");
  of_q.add(numbers[q_len], numbers[page_size], to);
  of_keys.add(numbers[keys], numbers[page_size], to);
  of_past.add(numbers[past], numbers[page_size], to);
  of_left.add(numbers[left], numbers[page_size], to);
}

bool is_power(int64_t size) {
  return size > 0 && std::has_single_bit(static_cast<uint64_t>(size));
}

void add_heads(const Problem& p, Where::Attributes& to) {
  const int64_t group = p.num_heads / std::max<int64_t>(1, p.num_kv_heads);
  static const Divided of_dim("head_dim"), of_dim_v("head_dim_v"), of_heads("num_heads");
  to.emplace_back("num_heads", p.num_heads, Kind::limit);
  to.emplace_back("num_kv_heads", p.num_kv_heads, Kind::limit);
  to.emplace_back("num_heads / num_kv_heads", group, Kind::limit);
  to.emplace_back("num_heads is a power of 2", is_power(p.num_heads), Kind::option);
  to.emplace_back("num_heads / num_kv_heads is a power of 2", is_power(group), Kind::option);
  to.emplace_back("batch", p.batch, Kind::limit);
  to.emplace_back("head_dim", p.head_dim, Kind::limit);
  to.emplace_back("head_dim_v", p.head_dim_v, Kind::limit);
  to.emplace_back("head_dim_v − head_dim", p.head_dim_v - p.head_dim, Kind::difference);
  to.emplace_back("num_heads − num_kv_heads", p.num_heads - p.num_kv_heads, Kind::difference);
  of_dim.add(p.head_dim, 0, to);
  of_dim_v.add(p.head_dim_v, 0, to);
  of_heads.add(p.num_heads, 0, to);
}

void add_options(const Case& c, Where::Attributes& to) {
  const FeatureSet has = chosen_features(c);
  const std::vector<std::string>& words = feature_words();
  for (size_t n = 0; n < words.size(); ++n) to.emplace_back(words[n], bool{has[n]}, Kind::option);
}

/// What came before a step.
void add_history(const Case& c, size_t step, Where::Attributes& to) {
  static const std::vector<std::string> before = [] {
    std::vector<std::string> all;
    for (const std::string_view op : names_of<StepOp>)
      all.push_back(fmt::format("the step before is a {}", op));
    for (const std::string_view op : names_of<StepOp>)
      all.push_back(fmt::format("steps \"{}\" before", op));
    return all;
  }();
  constexpr size_t ops = names_of<StepOp>.size();
  for (size_t op = 0; op < ops; ++op) {
    const auto is = [&](const Step& each) { return static_cast<size_t>(each.op) == op; };
    to.emplace_back(before[op], step > 0 && c.cached() && is(c.steps[step - 1]));
    to.emplace_back(
        before[ops + op],
        c.cached() ? int64_t{std::count_if(c.steps.begin(),
                                           c.steps.begin() + static_cast<std::ptrdiff_t>(step), is)}
                   : int64_t{0},
        Kind::limit);
  }
}

int64_t most(const std::vector<int64_t>& list) {
  return list.empty() ? 0 : *std::max_element(list.begin(), list.end());
}

}  // namespace

Where::Attributes attributes_of(const measure::Plan& plan, const measure::Query& query) {
  const Case& c = plan.c;
  const auto step = static_cast<size_t>(query.step), row = static_cast<size_t>(query.b);
  Where::Attributes all = measure::attributes_of(plan, query);
  Numbers numbers = limits_of(c, row);
  numbers[q_len] = c.cached() ? c.steps[step].q_len : c.problem.q_len;
  numbers[keys] = static_cast<int64_t>(plan.held[step][row].tokens.size());
  numbers[past] = c.cached() ? query.position - (query.i - c.steps[step].first_query(row)) : absent;
  if (c.problem.batch > 1)
    for (const measure::Held& held : plan.held[step])
      numbers[longest] = std::max(numbers[longest], static_cast<int64_t>(held.tokens.size()));
  static const Divided of_query("query"), of_position("position");
  of_query.add(query.i, numbers[page_size], all);
  of_position.add(query.position, numbers[page_size], all);
  add_numbers(numbers, all);
  add_history(c, step, all);
  add_heads(c.problem, all);
  add_options(c, all);
  return all;
}

Where::Attributes attributes_of(const Case& c, size_t step) {
  Numbers numbers = limits_of(c, 0);
  Where::Attributes all;
  numbers[q_len] = c.problem.q_len;
  numbers[keys] = c.problem.kv_len;
  if (c.cached()) {
    const std::vector<std::vector<int64_t>> totals = totals_after(c);
    const Step& at = c.steps[step];
    numbers[q_len] = at.has_tokens() ? at.q_len : 0;
    numbers[longest] = numbers[keys] = most(totals[step]);
    numbers[past] = step == 0 ? 0 : most(totals[step - 1]);
    static const std::vector<std::string> ops = [] {
      std::vector<std::string> names;
      for (const std::string_view op : names_of<StepOp>) names.push_back(fmt::format("a {}", op));
      return names;
    }();
    for (size_t op = 0; op < ops.size(); ++op)
      all.emplace_back(ops[op], static_cast<size_t>(at.op) == op);
    all.emplace_back("a ragged step", !at.lens.empty());
  }
  add_numbers(numbers, all);
  add_history(c, step, all);
  add_heads(c.problem, all);
  add_options(c, all);
  return all;
}

}  // namespace attnfuzz::when
