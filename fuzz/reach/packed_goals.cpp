// Sequences on one axis: how many, without queries or keys, and where in a tile they begin.
#include <fmt/format.h>

#include "fuzz/claims.h"
#include "fuzz/reach/goal.h"

namespace attnfuzz {
namespace {

constexpr int64_t any_number = std::numeric_limits<int64_t>::max();

bool may_be_0(const Claims& claims, std::string_view lens) {
  const SizeRange* range = claims.param(lens);
  return range == nullptr || range->min == 0;
}

/// Features by which a sequence has queries and no key.
std::vector<FeatureSet> ways_without_keys(const Claims& claims) {
  std::vector<FeatureSet> ways;
  if (!claims.declared(word_index("longer_q")) || !may_be_0(claims, "packed.kv_lens")) return ways;
  for (const std::string_view gives : {"zero", "nan", "any"}) {
    const FeatureSet word = words_like(fmt::format("fully_masked:{}", gives));
    if (claims.declared(word._Find_first()))
      ways.push_back(word | words_like("cross") | words_like("longer_q"));
  }
  return ways;
}

}  // namespace

std::vector<Goal> packed_goals(const Claims& claims, const std::vector<int64_t>& tiles) {
  const size_t word = word_index("rule:packed");
  if (!claims.declared(word)) return {};
  std::vector<Goal> goals;
  const auto put = [&](const std::string& what, const Condition& condition) -> Goal& {
    goals.push_back({"packed: " + what, FeatureSet().set(word), {condition}});
    return goals.back();
  };
  const Condition several{Quantity::sequences, {2, any_number}};
  put("one sequence", {Quantity::sequences, {1, 1}});
  put("more than four sequences", {Quantity::sequences, {5, any_number}});
  if (may_be_0(claims, "packed.q_lens"))
    put("a sequence without queries", {Quantity::empty_q, {1, any_number}}).way = {several};
  if (const std::vector<FeatureSet> ways = ways_without_keys(claims); !ways.empty()) {
    Goal& goal = put("a sequence without keys", {Quantity::empty_kv, {1, any_number}});
    goal.way = {several};
    goal.way_words = ways.front();
  }
  for (const int64_t t : tiles) {
    if (t > 1)
      put(fmt::format("a sequence begins inside the first tile of {}", t),
          {Quantity::packed_begin, {1, t - 1}})
          .way = {several};
    put(fmt::format("a sequence begins behind the first tile of {}", t),
        {Quantity::packed_begin, {t + 1, any_number}})
        .way = {several, {Quantity::kv_len, {t + 2, 2 * t + 2}}};
  }
  return goals;
}

}  // namespace attnfuzz
