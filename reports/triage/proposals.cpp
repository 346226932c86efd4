#include <algorithm>

#include "reports/causes/causes.h"
#include "reports/triage/search.h"

namespace attnfuzz::triage {
namespace {

using K = AxisKind;

/// A feature that a text of these axes is often about. `add` gives false where it does not apply.
struct Recipe {
  std::string_view why;
  std::vector<K> kinds;  ///< of the axes that speak for it; empty: any
  bool (*add)(Case& c);
};

void add_rule(Case& c, std::string_view rule, std::vector<ParamValue> values = {}) {
  c.problem.mask.rules.push_back({find_rule(rule), std::move(values)});
}

template <int64_t shape>
bool add_boolean(Case& c) {
  constexpr int64_t keep = 70;
  add_rule(c, "boolean", {int64_t{shape}, keep});
  return true;
}

template <int64_t shape>
bool add_bias(Case& c) {
  add_rule(c, "bias", {int64_t{shape}});
  return true;
}

template <int64_t side>
bool add_padding(Case& c) {
  std::vector<int64_t> lens;
  for (int64_t b = 0; b < c.problem.batch; ++b)
    lens.push_back(std::max<int64_t>(1, c.problem.kv_len - b));
  add_rule(c, "padding", {int64_t{side}, std::move(lens)});
  return true;
}

bool add_chunk(Case& c) {
  add_rule(c, "causal");
  add_rule(c, "chunk", {int64_t{3}, int64_t{0}});
  return true;
}

bool add_chunk_and_padding(Case& c) {
  return add_chunk(c) && add_padding<0>(c);
}

bool add_window(Case& c) {
  add_rule(c, "causal");
  add_rule(c, "window", {int64_t{2}, int64_t{0}});
  return true;
}

bool add_causal(Case& c) {
  add_rule(c, "causal");
  return true;
}

bool add_groups(Case& c) {
  c.problem.num_kv_heads = std::max<int64_t>(1, c.problem.num_heads / 2);
  return c.problem.num_heads % c.problem.num_kv_heads == 0 &&
         c.problem.num_kv_heads != c.problem.num_heads;
}

bool add_one_kv_head(Case& c) {
  c.problem.num_kv_heads = 1;
  return c.problem.num_heads > 1;
}

bool add_memory(Case& c) {
  if (c.problem.memory_kv == 0) c.problem.memory_kv = 3;
  return true;
}

bool add_memory_one_kv_head(Case& c) {
  return add_memory(c) && add_one_kv_head(c);
}

bool add_memory_and_mask(Case& c) {
  return add_memory(c) && add_boolean<0>(c);
}

bool add_value_size(Case& c) {
  c.problem.head_dim_v = c.problem.head_dim * 2;
  return true;
}

bool add_memory_and_value_size(Case& c) {
  return add_memory(c) && add_value_size(c);
}

template <CacheKind kind>
bool add_cache(Case& c) {
  const int64_t q_len = c.problem.q_len;
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = Cache{};
  c.cache->kind = kind;
  if (kind != CacheKind::dynamic) c.cache->capacity = kind == CacheKind::fixed ? q_len + 4 : 4;
  Step prefill, decode;
  prefill.op = StepOp::prefill;
  prefill.q_len = q_len;
  decode.op = StepOp::decode;
  decode.q_len = 1;
  c.steps = {prefill, decode};
  c.problem.mask = {};
  add_rule(c, "causal");
  return true;
}

template <CacheKind kind>
bool add_cache_and_chunk(Case& c) {
  return add_cache<kind>(c) && (add_rule(c, "chunk", {int64_t{4}, int64_t{0}}), true);
}

template <CacheKind kind>
bool add_cache_and_window(Case& c) {
  return add_cache<kind>(c) && (add_rule(c, "window", {int64_t{3}, int64_t{0}}), true);
}

/// Special ones first: a text about q_len and batch is more often a chunked mask than any mask.
const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> table = {
      {"causal chunks", {K::q_len, K::batch, K::kv_len, K::limit}, add_chunk},
      {"causal chunks and padding", {K::q_len, K::batch, K::kv_len}, add_chunk_and_padding},
      {"memory keys and one KV head",
       {K::heads, K::kv_heads, K::with_memory, K::limit},
       add_memory_one_kv_head},
      {"memory keys and a mask", {K::kv_len, K::with_memory, K::limit}, add_memory_and_mask},
      {"memory keys and a head size of the values", {K::dim, K::limit}, add_memory_and_value_size},
      {"memory keys", {K::kv_len, K::heads, K::with_memory, K::limit}, add_memory},
      {"a growing cache and chunks",
       {K::kv_len, K::q_len, K::limit},
       add_cache_and_chunk<CacheKind::dynamic>},
      {"a growing cache and a window",
       {K::kv_len, K::q_len, K::limit},
       add_cache_and_window<CacheKind::dynamic>},
      {"a growing cache", {K::kv_len, K::q_len}, add_cache<CacheKind::dynamic>},
      {"a fixed cache", {K::kv_len, K::q_len, K::limit}, add_cache<CacheKind::fixed>},
      {"a chunked cache", {K::kv_len, K::q_len, K::limit}, add_cache_and_chunk<CacheKind::chunked>},
      {"a ring cache and a window",
       {K::kv_len, K::q_len, K::limit},
       add_cache_and_window<CacheKind::ring>},
      {"padding on the left", {K::batch, K::kv_len, K::q_len}, add_padding<0>},
      {"padding on the right", {K::batch, K::kv_len, K::q_len}, add_padding<1>},
      {"a mask for all rows and heads", {K::kv_len, K::q_len}, add_boolean<0>},
      {"a mask for each batch row", {K::batch, K::kv_len, K::q_len, K::heads}, add_boolean<1>},
      {"a mask for each head", {K::heads, K::kv_len, K::q_len}, add_boolean<2>},
      {"a mask for each batch row and head", {K::heads, K::batch, K::kv_len}, add_boolean<3>},
      {"a bias for all rows and heads", {K::kv_len, K::q_len}, add_bias<0>},
      {"a bias for each batch row and head", {K::heads, K::batch, K::kv_len}, add_bias<3>},
      {"a window", {K::kv_len, K::q_len, K::limit}, add_window},
      {"grouped heads", {K::heads, K::kv_heads, K::dim, K::tokens}, add_groups},
      {"one KV head", {K::heads, K::kv_heads, K::dim, K::tokens}, add_one_kv_head},
      {"a head size of the values", {K::dim, K::tokens}, add_value_size},
      {"a causal mask", {}, add_causal},
      {"no mask", {}, [](Case&) { return true; }},
  };
  return table;
}

/// Distinct small sizes, or those that the text has.
Case base_case(const Reading& reading) {
  constexpr int64_t most = 64;  // larger ones say no more and cost time
  Case c;
  Problem& p = c.problem;
  p.batch = 2;
  p.num_heads = p.num_kv_heads = 4;
  p.q_len = p.kv_len = 7;
  p.head_dim = p.head_dim_v = 8;
  for (const ProblemSize& size : problem_sizes())
    if (const auto known = reading.size(size.name); known && *known > 0 && *known <= most)
      p.*size.member = *known;
  if (!reading.size("num_kv_heads") || p.num_heads % p.num_kv_heads != 0)
    p.num_kv_heads = p.num_heads;
  if (!reading.size("head_dim_v")) p.head_dim_v = p.head_dim;
  if (!reading.size("kv_len")) p.kv_len = p.q_len;
  if (!reading.size("q_len")) p.q_len = p.kv_len;
  p.memory_kv = std::min<int64_t>(p.memory_kv, most);
  return c;
}

int64_t fitted(int64_t size, const SizeRange& range) {
  size = std::clamp(size, range.min, range.max);
  return std::max(range.min, size / range.multiple_of * range.multiple_of);
}

/// Sizes as the target takes them.
void fit_sizes(Case& c, const Capabilities& capabilities) {
  Problem& p = c.problem;
  for (const ProblemSize& size : problem_sizes())
    if (const auto range = capabilities.sizes.find(std::string(size.name));
        range != capabilities.sizes.end() && !(c.cached() && p.*size.member == 0))
      p.*size.member = fitted(p.*size.member, range->second);
  if (p.num_kv_heads > 0 && p.num_heads % p.num_kv_heads != 0) p.num_kv_heads = p.num_heads;
  const auto member = [](const std::string& axis) -> int64_t Problem::* {
    for (const ProblemSize& size : problem_sizes())
      if (size.name == axis) return size.member;
    return nullptr;
  };
  for (const auto& [one, other] : capabilities.equal)
    if (const auto x = member(one), y = member(other); x != nullptr && y != nullptr) p.*y = p.*x;
}

/// The first of the conventions and dtypes under which the target claims the case.
bool fit_conventions(Case& c, const Capabilities& capabilities) {
  static constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::f64};
  for (const DType dtype : dtypes)
    for (const Layout layout : {Layout::bhsd, Layout::bshd})
      for (const FullyMasked empty : {FullyMasked::zero, FullyMasked::any, FullyMasked::nan})
        for (const HeadMap heads : {HeadMap::grouped, HeadMap::interleaved})
          for (const Align align : {Align::top_left, Align::bottom_right}) {
            c.problem.dtype = dtype;
            c.problem.layout = layout;
            c.problem.fully_masked = empty;
            c.problem.head_map = heads;
            c.problem.mask.align = align;
            if (capabilities.rejection_reason(c).empty()) return true;
          }
  return false;
}

/// How many of the reading's axes speak for the recipe.
size_t votes(const Recipe& recipe, const Reading& reading) {
  return static_cast<size_t>(
      std::count_if(reading.numbers.begin(), reading.numbers.end(), [&](const NumberAxis& number) {
        const K kind = axis_kind(number.axis);
        return number.value > 1 && !number.axis.empty() &&
               std::find(recipe.kinds.begin(), recipe.kinds.end(), kind) != recipe.kinds.end();
      }));
}

}  // namespace

std::vector<Proposal> propose(const Reading& reading, const Capabilities& capabilities) {
  std::vector<std::pair<size_t, const Recipe*>> ranked;
  for (const Recipe& recipe : recipes()) ranked.emplace_back(votes(recipe, reading), &recipe);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Proposal> proposals;
  for (const auto& [count, recipe] : ranked) {
    Case c = base_case(reading);
    if (!recipe->add(c)) continue;
    fit_sizes(c, capabilities);
    if (!is_valid(c) || !fit_conventions(c, capabilities)) continue;
    const bool known = std::any_of(proposals.begin(), proposals.end(),
                                   [&](const Proposal& other) { return other.c == c; });
    if (!known) proposals.push_back({std::string(recipe->why), std::move(c)});
  }
  return proposals;
}

}  // namespace attnfuzz::triage
