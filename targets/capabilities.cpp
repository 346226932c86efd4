#include "targets/capabilities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "oracle/mask.h"

namespace attnfuzz {
namespace {

constexpr SizeRange absent{0, 0, 1};
constexpr SizeRange one{1, 1, 1};

/// The sizes that capabilities can name, and what they are in a case. Of a cached case q_len is
/// each step's, kv_len the largest total of tokens.
struct NamedRange {
  std::string_view name;
  const SizeRange& when_unnamed;
};
constexpr std::array<NamedRange, 11> size_table{{{"batch", one},
                                                 {"num_heads", one},
                                                 {"num_kv_heads", one},
                                                 {"q_len", one},
                                                 {"kv_len", one},
                                                 {"head_dim", one},
                                                 {"head_dim_v", one},
                                                 {"memory_kv", absent},
                                                 {"steps", absent},
                                                 {"capacity", absent},
                                                 {"page_size", absent}}};

/// The most tokens that any row ever holds.
int64_t largest_total(const Case& c) {
  std::vector<int64_t> totals(static_cast<size_t>(c.problem.batch), 0);
  int64_t largest = 0;
  for (const Step& step : c.steps) {
    follow(step, totals);
    for (const int64_t total : totals) largest = std::max(largest, total);
  }
  return largest;
}

/// The different q_len of the steps that bring tokens, the largest first; 0 where none does.
std::vector<int64_t> q_lens(const Case& c) {
  if (!c.cached()) return {c.problem.q_len};
  std::vector<int64_t> all;
  for (const Step& step : c.steps)
    if (step.has_tokens()) all.push_back(step.q_len);
  if (all.empty()) return {0};
  std::sort(all.begin(), all.end(), std::greater<>());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

using Sizes = std::array<int64_t, size_table.size()>;

/// In the order of size_table.
Sizes sizes_of(const Case& c, int64_t q_len) {
  const Problem& p = c.problem;
  return {p.batch,
          p.num_heads,
          p.num_kv_heads,
          q_len,
          c.cached() ? largest_total(c) : p.kv_len,
          p.head_dim,
          p.head_dim_v,
          p.memory_kv,
          static_cast<int64_t>(c.steps.size()),
          c.cached() ? c.cache->capacity : 0,
          c.cached() ? c.cache->page_size : 0};
}

size_t size_index(std::string_view name) {
  const auto at = std::find_if(size_table.begin(), size_table.end(),
                               [&](const NamedRange& entry) { return entry.name == name; });
  return static_cast<size_t>(at - size_table.begin());
}

bool inside(int64_t value, const SizeRange& range) {
  return value >= range.min && value <= range.max && value % range.multiple_of == 0;
}

std::string outside(std::string_view what, int64_t value, const SizeRange& range) {
  return fmt::format("{} {} is not in [{}, {}]{}", what, value, range.min, range.max,
                     range.multiple_of > 1 ? fmt::format(" by {}", range.multiple_of) : "");
}

std::string sizes_rejection(const Capabilities& capabilities, const Sizes& sizes) {
  for (size_t k = 0; k < size_table.size(); ++k) {
    const auto named = capabilities.sizes.find(std::string(size_table[k].name));
    const SizeRange& range =
        named == capabilities.sizes.end() ? size_table[k].when_unnamed : named->second;
    if (!inside(sizes[k], range)) return outside(size_table[k].name, sizes[k], range);
  }
  for (const auto& [a, b] : capabilities.equal) {
    const int64_t x = sizes[size_index(a)], y = sizes[size_index(b)];
    if (x != y) return fmt::format("{} {} must equal {} {}", a, x, b, y);
  }
  return {};
}

std::string sizes_rejection(const Capabilities& capabilities, const Case& c) {
  for (const int64_t q_len : q_lens(c))
    if (std::string why = sizes_rejection(capabilities, sizes_of(c, q_len)); !why.empty())
      return why;
  return {};
}

std::string params_rejection(const Capabilities& capabilities, const Case& c) {
  if (capabilities.params.empty()) return {};
  for (const RuleUse& use : c.problem.mask.rules) {
    for (size_t k = 0; k < use.values.size(); ++k) {
      const std::string name = fmt::format("{}.{}", use.spec->name, use.spec->params[k].name);
      const auto limit = capabilities.params.find(name);
      if (limit == capabilities.params.end()) continue;
      if (const auto* value = std::get_if<int64_t>(&use.values[k])) {
        if (!inside(*value, limit->second)) return outside(name, *value, limit->second);
        continue;
      }
      for (const int64_t value : use.list(k))
        if (!inside(value, limit->second)) return outside(name, value, limit->second);
    }
  }
  return {};
}

std::string features_rejection(const Capabilities& capabilities, const Case& c) {
  const std::vector<std::string> used = features(c);
  const auto uses = [&](const std::string& word) {
    return std::binary_search(used.begin(), used.end(), word);
  };
  // Softmax goes without saying, unless only other kinds are named.
  const auto is_kind = [](const std::string& word) { return word.starts_with("kind:"); };
  if (std::any_of(capabilities.features.begin(), capabilities.features.end(), is_kind) &&
      !capabilities.has("kind:softmax") && !c.problem.recurrent())
    return "kind:softmax is not supported";
  for (const std::string& word : used)
    if (!capabilities.has(word)) return word + " is not supported";
  for (const std::vector<std::string>& together : capabilities.excludes)
    if (std::all_of(together.begin(), together.end(), uses))
      return fmt::format("{} are not supported together", fmt::join(together, " and "));
  for (const auto& [word, needed] : capabilities.required)
    if (uses(word) && !uses(needed)) return fmt::format("{} needs {}", word, needed);
  return {};
}

}  // namespace

bool Capabilities::has(std::string_view feature) const {
  return std::binary_search(features.begin(), features.end(), feature);
}

bool Capabilities::has(Property property) const {
  return std::find(properties.begin(), properties.end(), property) != properties.end();
}

Precision Capabilities::precision_of(DType dtype) const {
  const auto declared = precision.find(dtype);
  return declared != precision.end() ? declared->second : default_precision(dtype);
}

std::string Capabilities::rejection_reason(const Case& c) const {
  if (std::string why = sizes_rejection(*this, c); !why.empty()) return why;
  const auto rules = static_cast<int64_t>(c.problem.mask.rules.size());
  if (rules > max_rules) return fmt::format("{} mask rules, at most {}", rules, max_rules);
  if (std::string why = params_rejection(*this, c); !why.empty()) return why;
  return features_rejection(*this, c);
}

Precision default_precision(DType dtype) {
  const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
  Precision precision;
  precision.accumulate = precision.p = wide;
  return precision;
}

std::span<const std::string_view> size_names() {
  static const auto names = [] {
    std::array<std::string_view, size_table.size()> all;
    std::transform(size_table.begin(), size_table.end(), all.begin(),
                   [](const NamedRange& entry) { return entry.name; });
    return all;
  }();
  return names;
}

}  // namespace attnfuzz
