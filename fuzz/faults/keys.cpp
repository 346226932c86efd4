// Loops over the keys that leave some out or take them twice: at the ends, at the edges of tiles,
// between the parts of a split.
#include <algorithm>
#include <numbers>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

/// Whether key j of `size` keys is one of those that the loop gets wrong.
using Which = bool (*)(int64_t j, int64_t size);

template <Which which>
void apply_missing(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const auto size = static_cast<int64_t>(context.key_pos.size());
  for (int64_t j = 0; j < size; ++j)
    if (which(j, size)) row.visible[static_cast<size_t>(j)] = 0;
}
/// A key that counts twice has twice its weight: ln 2 more score.
template <Which which>
void apply_twice(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const auto size = static_cast<int64_t>(context.key_pos.size());
  for (int64_t j = 0; j < size && !row.bias.empty(); ++j)
    if (which(j, size)) row.bias[static_cast<size_t>(j)] += std::numbers::ln2;
}

template <Which which>
constexpr RuleSpec missing_spec = made_rule<apply_missing<which>>;
template <Which which>
constexpr RuleSpec twice_spec = made_rule<apply_twice<which>, Kind::bias>;

/// The case with the rule, where some of its keys are among those.
template <const RuleSpec& spec, Which which>
Rewritten some_keys(const Case& original) {
  Case c = original;
  const int64_t size = c.problem.kv_len;
  bool any = false;
  for (int64_t j = 0; j < size && !any; ++j) any = which(j, size);
  if (c.cached() || !any) return {};
  if (spec.adds_bias && !c.problem.mask.adds_bias())
    c.problem.bias_order = BiasOrder::after_softcap;  // what is added is a weight
  c.problem.mask.rules.push_back({&spec, {}});
  return c;
}
template <Which which>
constexpr auto missing = some_keys<missing_spec<which>, which>;
template <Which which>
constexpr auto twice = some_keys<twice_spec<which>, which>;

bool last(int64_t j, int64_t size) {
  return size > 1 && j == size - 1;
}
bool first(int64_t j, int64_t size) {
  return size > 1 && j == 0;
}
bool always_last(int64_t j, int64_t size) {
  return j == size - 1;
}

template <int64_t tile>
bool tail(int64_t j, int64_t size) {
  return size > tile && j >= size / tile * tile;
}
template <int64_t tile>
bool before_tail(int64_t j, int64_t size) {
  return size > tile && size % tile != 0 && j >= size - tile && j < size / tile * tile;
}
template <int64_t tile>
bool first_tile(int64_t j, int64_t size) {
  return size > tile && j < tile;
}
template <int64_t tile>
bool second_tile(int64_t j, int64_t size) {
  return size > tile && j / tile == 1;
}
template <int64_t tile>
bool edge(int64_t j, int64_t size) {
  return size > tile && j > 0 && j % tile == 0;
}

/// The part of a split into equal parts that a key is in.
template <int64_t parts>
int64_t part_of(int64_t j, int64_t size) {
  int64_t part = 0;
  while (part + 1 < parts && j >= size * (part + 1) / parts) ++part;
  return part;
}
template <int64_t parts>
bool last_part(int64_t j, int64_t size) {
  return size >= parts && part_of<parts>(j, size) == parts - 1;
}
template <int64_t parts>
bool part_begin(int64_t j, int64_t size) {
  return size >= parts && j > 0 && part_of<parts>(j, size) != part_of<parts>(j - 1, size);
}
template <int64_t parts>
bool part_end(int64_t j, int64_t size) {
  return size >= parts && j + 1 < size && part_of<parts>(j, size) != part_of<parts>(j + 1, size);
}

/// Zero keys and values that fill the last tile: as memory keys, which every query sees.
template <int64_t tile>
Rewritten zeros_to_tile(const Case& original) {
  Case c = original;
  const int64_t size = c.problem.kv_len;
  if (c.cached() || size % tile == 0 || !c.problem.mask.rules.empty()) return {};
  c.problem.memory_kv += tile - size % tile;
  return c;
}
/// Memory keys and values, `more` of them zeros behind those that are there.
Inputs with_zeros(const Problem& p, int64_t more, Inputs inputs) {
  for (const std::string_view name : {"mem_k", "mem_v"}) {
    const int64_t dim = name == "mem_k" ? p.head_dim : p.head_dim_v;
    Tensor all(p.dtype, {p.num_kv_heads, p.memory_kv + more, dim});
    const Tensor* memory = inputs.find(name);
    if (memory == nullptr) {
      inputs.add(std::string(name), std::move(all));
      continue;
    }
    const auto vector = static_cast<size_t>(dim * info(p.dtype).bytes);
    const size_t old_head = static_cast<size_t>(p.memory_kv) * vector;
    const size_t new_head = static_cast<size_t>(p.memory_kv + more) * vector;
    for (size_t n = 0; n < memory->bytes.size(); ++n)
      all.bytes[n / old_head * new_head + n % old_head] = memory->bytes[n];
    inputs.replace(name, std::move(all));
  }
  return inputs;
}
template <int64_t tile>
Inputs read_zeros_to_tile(const Case& c, Inputs inputs) {
  return with_zeros(c.problem, tile - c.problem.kv_len % tile, std::move(inputs));
}

/// A slot of a cache that nothing has been written to.
Rewritten empty_slot(const Case& original) {
  if (!original.cached()) return {};
  Case c = original;
  c.problem.memory_kv += 1;
  return c;
}
Inputs read_empty_slot(const Case& c, Inputs inputs) {
  return with_zeros(c.problem, 1, std::move(inputs));
}

/// causal that hides nothing inside the diagonal tile of queries.
template <int64_t tile>
void to_tile_end(RowContext& context) {
  context.q_pos += tile - 1 - ((context.q_pos % tile) + tile) % tile;
}

#define ATTNFUZZ_TILE(n)                                                                    \
  {"keys-tail-" #n "-missing", "the keys of the last, partial tile of " #n " are left out", \
   missing<tail<n>>},                                                                       \
      {"keys-tail-" #n "-twice",                                                            \
       "the last tile of " #n                                                               \
       " keys ends at the last key and counts keys of the tile before again",               \
       twice<before_tail<n>>},                                                              \
      {"keys-tail-" #n "-zeros",                                                            \
       "the last tile of " #n " keys is filled with keys and values of zeros that count",   \
       zeros_to_tile<n>, Fault::Of::softmax, read_zeros_to_tile<n>},                        \
      {"keys-first-" #n "-missing", "the first tile of " #n " keys is left out",            \
       missing<first_tile<n>>},                                                             \
      {"keys-second-" #n "-missing", "the second tile of " #n " keys is left out",          \
       missing<second_tile<n>>},                                                            \
      {"keys-edge-" #n "-missing",                                                          \
       "the first key of each tile of " #n " but the first is left out", missing<edge<n>>}, \
      {"keys-edge-" #n "-twice",                                                            \
       "the first key of each tile of " #n " but the first counts twice", twice<edge<n>>},  \
  {                                                                                         \
    "causal-tile-" #n, "the diagonal tile of " #n " is not masked inside",                  \
        [](const Case& c) { return changed<to_tile_end<n>>(c, "causal"); }                  \
  }
#define ATTNFUZZ_PARTS(n)                                                         \
  {"split-last-missing-" #n, "the last of " #n " parts of the keys is left out",  \
   missing<last_part<n>>},                                                        \
      {"split-edge-twice-" #n, "the " #n " parts of the keys overlap by one key", \
       twice<part_begin<n>>},                                                     \
  {                                                                               \
    "split-edge-missing-" #n,                                                     \
        "each of the " #n " parts of the keys but the last ends one key early",   \
        missing<part_end<n>>                                                      \
  }

constexpr Fault table[] = {
    {"empty-slot-seen",
     "a slot that holds nothing yet, a key and a value of zeros, is seen as well", empty_slot,
     Fault::Of::softmax, read_empty_slot},
    ATTNFUZZ_TILE(16),
    ATTNFUZZ_TILE(32),
    ATTNFUZZ_TILE(64),
    ATTNFUZZ_TILE(128),
    ATTNFUZZ_PARTS(2),
    ATTNFUZZ_PARTS(3),
    ATTNFUZZ_PARTS(4),
    {"keys-last-missing", "the last key is left out", missing<last>},
    {"keys-first-missing", "the first key is left out", missing<first>},
    {"keys-last-twice", "the last key counts twice", twice<always_last>},
    {"keys-first-twice", "the first key counts twice", twice<first>},
};
#undef ATTNFUZZ_TILE
#undef ATTNFUZZ_PARTS

}  // namespace

std::span<const Fault> keys() {
  return table;
}

}  // namespace attnfuzz::fault
