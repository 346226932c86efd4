#include "fuzz/reach/compiled_for.h"

#include <algorithm>
#include <set>

#include "fuzz/claims.h"

namespace attnfuzz {
namespace {

/// Features that say how sizes lie to each other.
struct Follower {
  Axis axis;
  std::string_view prefix;
};
constexpr Follower followers[] = {{Axis::num_heads, "gqa"},       {Axis::num_heads, "mqa"},
                                  {Axis::num_kv_heads, "gqa"},    {Axis::num_kv_heads, "mqa"},
                                  {Axis::q_len, "cross"},         {Axis::q_len, "longer_q"},
                                  {Axis::kv_len, "cross"},        {Axis::kv_len, "longer_q"},
                                  {Axis::head_dim, "head_dim_v"}, {Axis::head_dim_v, "head_dim_v"},
                                  {Axis::memory_kv, "memory_kv"}, {Axis::steps, "cache:"},
                                  {Axis::capacity, "cache:"},     {Axis::page_size, "cache:"}};

std::set<int64_t> numbers(const CaseMarks& marks, Quantity quantity) {
  std::set<int64_t> values;
  for (const auto& [each, value] : marks.numbers)
    if (each == quantity) values.insert(value);
  return values;
}

}  // namespace

CompiledFor::CompiledFor(const Claims& claims) {
  const std::vector<std::string>& words = feature_words();
  const auto add_words = [&](std::string_view prefix) {
    for (size_t k = 0; k < words.size(); ++k)
      if (words[k].starts_with(prefix)) words_.set(k);
  };
  const std::span<const std::string_view> sizes = size_names();
  for (const std::string& word : claims.capabilities().compiled_for) {
    // "head_dim_v" and "memory_kv" are both a size and a feature: as sizes they are more.
    const auto size = std::find(sizes.begin(), sizes.end(), word);
    if (size == sizes.end()) {
      words_.set(word_index(word));
      named_ = true;
      continue;
    }
    const auto axis = static_cast<Axis>(size - sizes.begin());
    quantities_.push_back(static_cast<Quantity>(axis));
    for (const Follower& follower : followers)
      if (follower.axis == axis) add_words(follower.prefix);
  }
  if (!any()) return;
  for (const std::string_view prefix : {"dtype:", "layout:"}) add_words(prefix);
}

bool CompiledFor::same(const CaseMarks& a, const CaseMarks& b) const {
  return ((a.words ^ b.words) & words_).none() &&
         std::all_of(quantities_.begin(), quantities_.end(), [&](Quantity quantity) {
           return numbers(a, quantity) == numbers(b, quantity);
         });
}

Aim CompiledFor::within(const CaseMarks& first, Aim aim) const {
  aim.words |= first.words & words_;
  aim.without |= words_ & ~first.words;
  const auto fix = [&](Quantity quantity) {
    const std::set<int64_t> values = numbers(first, quantity);
    if (!values.empty()) aim.of(quantity) = {*values.begin(), *values.rbegin()};
  };
  for (const Quantity quantity : quantities_) {
    fix(quantity);
    if (quantity == Quantity::num_heads || quantity == Quantity::num_kv_heads) fix(Quantity::group);
  }
  return aim;
}

}  // namespace attnfuzz
