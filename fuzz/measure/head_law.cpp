#include "fuzz/measure/head_law.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz::measure {
namespace {

struct Law {
  const char* words;
  int64_t (*of)(int64_t h, int64_t heads, int64_t kv_heads);
};
constexpr Law laws[] = {
    {"h / (num_heads / num_kv_heads)",
     [](int64_t h, int64_t n, int64_t g) { return h / std::max<int64_t>(1, n / g); }},
    {"h mod num_kv_heads", [](int64_t h, int64_t, int64_t g) { return h % g; }},
    {"h / num_kv_heads", [](int64_t h, int64_t, int64_t g) { return h / g; }},
    {"0", [](int64_t, int64_t, int64_t) { return int64_t{0}; }},
    {"num_kv_heads − 1", [](int64_t, int64_t, int64_t g) { return g - 1; }},
    {"h mod (num_heads / num_kv_heads)",
     [](int64_t h, int64_t n, int64_t g) { return h % std::max<int64_t>(1, n / g); }},
    {"min(h, num_kv_heads − 1)", [](int64_t h, int64_t, int64_t g) { return std::min(h, g - 1); }},
    {"num_kv_heads − 1 − h / (num_heads / num_kv_heads)",
     [](int64_t h, int64_t n, int64_t g) { return g - 1 - h / std::max<int64_t>(1, n / g); }},
    {"h / 2", [](int64_t h, int64_t, int64_t) { return h / 2; }},
};

}  // namespace

std::string head_law(const std::set<HeadUse>& uses) {
  const auto all = [&](const auto& holds) { return std::all_of(uses.begin(), uses.end(), holds); };
  if (all([](const HeadUse& use) { return use.used == use.right; })) return "";
  const auto law_of = [&](int64_t HeadUse::*member) -> const Law* {
    for (const Law& law : laws)
      if (all([&](const HeadUse& use) {
            return law.of(use.head, use.num_heads, use.num_kv_heads) == use.*member;
          }))
        return &law;
    return nullptr;
  };
  const Law *used = law_of(&HeadUse::used), *right = law_of(&HeadUse::right);
  if (used == nullptr || right == nullptr) return "";
  return fmt::format("query head h uses KV head {}, where {} is right", used->words, right->words);
}

}  // namespace attnfuzz::measure
