#include "oracle/combinations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "oracle/linear/kinds.h"

namespace attnfuzz {
namespace {

using Kind = Combination::Kind;
constexpr Kind needs = Kind::needs_one_of, excludes = Kind::excludes;

/// A row for each word of the family `words`; `others` are words and families.
struct Row {
  std::string_view words;
  Kind kind;
  std::vector<std::string_view> others;
  std::string_view path = "";
};

/// What holds whatever mask rules and kinds of attention there are.
const Row fixed_rows[] = {
    {"longer_q", needs, {"cross"}},
    {"head_map:interleaved", needs, {"gqa"}},
    {"bias_order:before_softcap", needs, {"softcap"}},
    {"dsinks", needs, {"sinks"}, "/problem/outputs"},
    {"dmem_k", needs, {"memory_kv"}, "/problem/outputs"},
    {"dmem_v", needs, {"memory_kv"}, "/problem/outputs"},
    {"nonfinite:nan_padding", needs, {"rule:padding", "ragged", "ragged_left"}},
    {"nonfinite:inf_padding", needs, {"rule:padding", "ragged", "ragged_left"}},
    {"nonfinite:nan_hidden", excludes, {"cache:"}, "/data/nonfinite"},
    {"nonfinite:inf_hidden", excludes, {"cache:"}, "/data/nonfinite"},
    {"nonfinite:inf_bias", needs, {"rule:bias"}, "/data/nonfinite"},
    {"nonfinite:inf_bias", excludes, {"bias_order:before_softcap"}, "/data/nonfinite"},
    {"nonfinite:inf_bias", excludes, {"dtype:e4m3"}, "/data/nonfinite"},  // it has no infinity
    {"nonfinite:inf_bias", excludes, {"rule:relative_bias"}, "/data/nonfinite"},
    {"nonfinite:inf_value", excludes, {"quant:"}, "/data/nonfinite"},
    {"ragged", needs, {"step:prefill", "step:append"}},
    {"ragged_left", needs, {"step:prefill", "step:append"}},
    {"align:", needs, {"cross"}},
    {"quant:", needs, {"scales:token", "scales:head"}},
    {"scales:", needs, {"quant:int8", "quant:e4m3", "quant:e5m2"}},
    // Every query sees all keys of a cross cache.
    {"rule:", excludes, {"cache:cross"}, "/problem/mask/rules"},
    {"rope:", excludes, {"cache:cross"}, "/problem/rope"},
    {"rope_part:", needs, {"rope:half", "rope:interleaved"}},
    {"rope_scaling:", needs, {"rope:half", "rope:interleaved"}, "/problem/rope_scaling"},
    {"rope_magnitude",
     needs,
     {"rope_scaling:linear", "rope_scaling:ntk", "rope_scaling:dynamic_ntk", "rope_scaling:yarn",
      "rope_scaling:llama3"}},
    {"strides:", excludes, {"cache:"}, "/problem/strides"},
    {"strides:fused", excludes, {"cross", "head_dim_v"}, "/problem/strides"},
    {"strides:shared",
     excludes,
     {"nonfinite:"},
     "/problem/strides"},  // rows differ in what is hidden
    {"rope_positions", needs, {"rope:half", "rope:interleaved"}, "/problem/rope_positions"},
    {"rope_positions", excludes, {"cache:", "longer_q"}, "/problem/rope_positions"},
    // The number of keys, by which it goes, is another in each step and in each sequence.
    {"rope_scaling:dynamic_ntk", excludes, {"cache:", "rule:packed"}, "/problem/rope_scaling"},
    {"dropout", excludes, {"cache:"}, "/problem/dropout_keep"},
    // They count from the first key of the axis, or are lengths that all of it is made of.
    {"rule:packed",
     excludes,
     {"rule:chunk", "rule:prefix", "rule:documents", "rule:padding", "rule:block_sparse",
      "rule:spans", "rule:tree", "rule:indices"},
     "/problem/mask/rules"},
};

/// Rows of the mask rules, by what the rules say of themselves.
struct RuleRows {
  std::vector<std::string> biased, positional, hiding;

  RuleRows() {
    for (const RuleSpec* rule : rule_table()) {
      const std::string word = fmt::format("rule:{}", rule->name);
      (rule->adds_bias ? biased : hiding).push_back(word);
      if (rule->positional) positional.push_back(word);
    }
  }
};

class Builder {
 public:
  std::vector<Combination> take() {
    const RuleRows rules;
    for (const RuleSpec* rule : rule_table()) add_rule(*rule);
    for (const std::string_view kind : names_of<ProblemKind>)
      if (kind != name(ProblemKind::softmax)) add_kind(*parse_name<ProblemKind>(kind));
    for (const Row& row : fixed_rows) add(row);
    add({"bias_order:before_softcap", needs, views(rules.biased)});
    add({"dbias", needs, views(rules.biased), "/problem/outputs"});
    add({"nonfinite:nan_hidden", needs, views(rules.hiding)});
    add({"nonfinite:inf_hidden", needs, views(rules.hiding)});
    add({"align:", needs, views(rules.positional)});
    for (size_t k = 0; k < names_of<Output>.size(); ++k)
      if (is_gradient(static_cast<Output>(k)))
        add({names_of<Output>[k], excludes, { "rope:", "cache:" }, "/problem/outputs"});
    return std::move(table_);
  }

 private:
  static std::vector<std::string_view> views(const std::vector<std::string>& words) {
    return {words.begin(), words.end()};
  }

  void add(const Row& row) {
    std::vector<size_t> others;
    for (const std::string_view other : row.others) {
      const FeatureSet set = words_like(other);
      for (size_t k = 0; k < set.size(); ++k)
        if (set[k]) others.push_back(k);
    }
    const FeatureSet words = words_like(row.words);
    for (size_t k = 0; k < words.size(); ++k)
      if (words[k]) table_.push_back({k, row.kind, others, row.path});
  }

  void add_rule(const RuleSpec& rule) {
    const std::string word = fmt::format("rule:{}", rule.name);
    if (!rule.on_cache) add({word, excludes, {"cache:"}, "/problem/mask/rules"});
    for (const RuleParam& param : rule.params) {
      if (param.choices.empty()) continue;
      std::vector<std::string> choices;
      for (const std::string_view choice : param.choices) {
        choices.push_back(fmt::format("{}.{}:{}", rule.name, param.name, choice));
        add({choices.back(), needs, {word}});
      }
      add({word, needs, views(choices)});
    }
  }

  /// A kind with a state has its own arithmetic: most words have no meaning there.
  void add_kind(ProblemKind kind) {
    const std::string word = fmt::format("kind:{}", name(kind));
    add({word, needs, {"rule:causal"}, "/problem/mask/rules"});
    if (traits(kind).beta) add({word, excludes, {"data:large"}, "/data/dist"});
    std::vector<std::string_view> others;
    for (const std::string& other : feature_words())
      if (is_softmax_only(other)) others.push_back(other);
    add({word, excludes, others, "/problem/kind"});
  }

  std::vector<Combination> table_;
};

bool any_of(const std::vector<size_t>& words, const FeatureSet& used) {
  return std::any_of(words.begin(), words.end(), [&](size_t word) { return used[word]; });
}

}  // namespace

bool Combination::kept_by(const FeatureSet& used) const {
  return !used[word] || any_of(others, used) == (kind == Kind::needs_one_of);
}

const std::vector<Combination>& combinations() {
  static const std::vector<Combination> table = Builder().take();
  return table;
}

const Combination* broken_combination(const FeatureSet& used) {
  for (const Combination& each : combinations())
    if (!each.path.empty() && !each.kept_by(used)) return &each;
  return nullptr;
}

std::string expected_words(const Combination& combination, const FeatureSet& used) {
  const std::string& word = feature_words()[combination.word];
  std::vector<std::string> others;
  for (const size_t other : combination.others)
    if (combination.kind == Kind::needs_one_of || used[other])
      others.push_back(fmt::format("\"{}\"", feature_words()[other]));
  return combination.kind == Kind::needs_one_of
             ? fmt::format("{} beside \"{}\"", fmt::join(others, " or "), word)
             : fmt::format("no \"{}\" with {}", word, others.front());
}

}  // namespace attnfuzz
