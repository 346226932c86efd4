#include "oracle/masks/indices.h"

#include <numeric>

#include "oracle/inputs.h"
#include "oracle/masks/rule.h"
#include "oracle/philox.h"

namespace attnfuzz {

std::vector<int64_t> selected_keys(const RuleUse& indices, const RowContext& query) {
  const auto [b, h] = masks::coordinates(query, indices.integer("shape"));
  const int64_t block = query.i / indices.integer("q_block"), kv_len = query.problem.kv_len;
  const auto keep = static_cast<uint64_t>(indices.integer("keep"));
  std::vector<uint64_t> bits(static_cast<size_t>(kv_len));
  for (size_t j = 0; j < bits.size(); ++j)
    bits[j] = element_bits(query.data.seed, tensor_number(Role::mask, 0),
                           element_index(static_cast<uint64_t>(b), static_cast<uint64_t>(h),
                                         static_cast<uint64_t>(block), j));
  std::vector<int64_t> keys(bits.size());
  std::iota(keys.begin(), keys.end(), 0);
  const auto bits_of = [&](int64_t key) { return bits[static_cast<size_t>(key)]; };
  const int64_t count = std::min(indices.integer("count"), kv_len);
  std::partial_sort(keys.begin(), keys.begin() + count, keys.end(),
                    [&](int64_t one, int64_t other) { return bits_of(one) < bits_of(other); });
  keys.resize(static_cast<size_t>(count));
  for (int64_t& key : keys)
    if ((bits_of(key) & 0xFFFFFFFF) * 100 >> 32 >= keep) key = -1;
  return keys;
}

namespace masks {
namespace {

constexpr RuleParam params[] = {
    {.name = "shape", .kind = RuleParam::Kind::choice, .choices = shape_choices},
    {.name = "q_block", .kind = RuleParam::Kind::integer, .min = 1},
    {.name = "count", .kind = RuleParam::Kind::integer, .min = 1, .max = 65535},
    {.name = "keep", .kind = RuleParam::Kind::integer, .max = 100}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  std::vector<uint8_t> set(static_cast<size_t>(context.problem.kv_len), 0);
  for (const int64_t key : selected_keys(use, context))
    if (key >= 0) set[static_cast<size_t>(key)] = 1;
  for (size_t j = 0; j < row.visible.size(); ++j) {
    const auto key = static_cast<size_t>(context.key_pos[j]);
    row.visible[j] &= key < set.size() ? set[key] : uint8_t{0};
  }
}

}  // namespace

/// Lists of selected keys, one for each block of `q_block` queries: `count` places in no order, of
/// which about `keep` percent hold a key, no key twice, and the others hold −1. `shape` says for
/// which axes the lists differ.
extern const RuleSpec indices;
const RuleSpec indices = {.name = "indices",
                          .words =
                              "the key is in the random list of `count` keys of the query's "
                              "block of `q_block`",
                          .params = params,
                          .positional = false,
                          .adds_bias = false,
                          .apply = apply,
                          .on_cache = false,
                          .by_place = true,
                          .drawn = true};

}  // namespace masks
}  // namespace attnfuzz
