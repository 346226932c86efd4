#include "fuzz/draw_mask.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz {
namespace {

using Kind = RuleParam::Kind;
constexpr int percent_full = 25;  // rows that a list of lengths leaves whole
constexpr int64_t percents = 100;

/// The feature words of a rule and of its choices.
struct RuleWords {
  size_t rule;
  std::vector<std::vector<size_t>> choices;  ///< of each parameter
};

const std::vector<RuleWords>& rule_words() {
  static const std::vector<RuleWords> all = [] {
    std::vector<RuleWords> table;
    for (const RuleSpec* rule : rule_table()) {
      RuleWords& entry = table.emplace_back();
      entry.rule = word_index(fmt::format("rule:{}", rule->name));
      for (const RuleParam& param : rule->params) {
        std::vector<size_t>& choices = entry.choices.emplace_back();
        for (const std::string_view choice : param.choices)
          choices.push_back(word_index(fmt::format("{}.{}:{}", rule->name, param.name, choice)));
      }
    }
    return table;
  }();
  return all;
}

/// What the parameters of a rule are drawn from.
struct Context {
  const Claims& claims;
  const FeatureSet& words;
  int64_t tokens;
  SizeDrawer& sizes;
  Draw& draw;
  const Case& c;
  bool may_be_fully_masked = claims.may_be_fully_masked(words);
};

/// A parameter to be drawn.
struct Wanted {
  const RuleSpec& rule;
  const RuleParam& param;
  const std::vector<size_t>& choices;
};

SizeRange limits(const Context& context, const Wanted& wanted) {
  const RuleParam& param = wanted.param;
  SizeRange range{param.min, param.max, 1};
  if (context.claims.capabilities().params.empty()) return range;
  const SizeRange* claimed =
      context.claims.param(fmt::format("{}.{}", wanted.rule.name, param.name));
  if (claimed == nullptr) return range;
  range = *claimed;
  range.min = std::max(range.min, param.min);
  range.max = std::min(range.max, param.max);
  return range;
}

/// What the aim says of a parameter that it knows.
Interval aimed_at(const Context& context, const Wanted& wanted) {
  const std::string name = fmt::format("{}.{}", wanted.rule.name, wanted.param.name);
  const std::optional<Quantity> quantity =
      context.sizes.aim().on() ? parse_name<Quantity>(name) : std::nullopt;
  return quantity ? context.sizes.aim().of(*quantity) : Interval{};
}

ParamValue draw_integer(const Context& context, const Wanted& wanted) {
  const SizeRange range = limits(context, wanted);
  int64_t value = 0;
  if (const Interval aimed = aimed_at(context, wanted).meet({range.min, range.max});
      !aimed.empty() && !(aimed == Interval{range.min, range.max})) {
    value = context.sizes.between_ends(aimed.min, std::clamp(context.tokens, aimed.min, aimed.max));
  } else if (wanted.param.max <= percents) {
    const int64_t least = context.may_be_fully_masked ? range.min : percents * 8 / 10;
    value = context.draw.between(std::min(least, range.max), range.max);
  } else {
    const int64_t tokens = context.tokens;
    const int64_t edges[] = {tokens - 1, tokens, tokens + 1, tokens / 2, context.c.problem.q_len};
    value = context.draw.chance(50) ? context.draw.pick(std::span<const int64_t>(edges))
                                    : context.sizes.edgy(range.min, std::max(range.min, tokens),
                                                         context.claims.tiles(Axis::kv_len));
  }
  value = std::clamp(value, range.min, range.max);
  return std::max(value / range.multiple_of * range.multiple_of, range.min);
}

ParamValue draw_choice(const Context& context, const Wanted& wanted) {
  for (size_t k = 0; k < wanted.choices.size(); ++k)
    if (context.words[wanted.choices[k]]) return static_cast<int64_t>(k);
  return int64_t{0};
}

ParamValue draw_rows(const Context& context, const Wanted& wanted) {
  const SizeRange range = limits(context, wanted);
  const int64_t most = std::min(context.tokens, range.max);
  const int64_t least =
      std::min(most, std::max<int64_t>(range.min, context.may_be_fully_masked ? 0 : 1));
  std::vector<int64_t> lens;
  for (int64_t b = 0; b < context.c.problem.batch; ++b)
    lens.push_back(context.draw.chance(percent_full) ? most : context.draw.between(least, most));
  return lens;
}

/// Lengths that sum to kv_len: parts of a size of their own, the last takes what is left.
ParamValue draw_lengths(const Context& context, const Wanted& wanted) {
  const SizeRange range = limits(context, wanted);
  std::vector<int64_t> lengths;
  const int64_t usual =
      std::max<int64_t>(1, context.draw.between(1, std::max<int64_t>(1, context.tokens)));
  for (int64_t left = context.c.problem.kv_len; left > 0;) {
    const int64_t length = std::clamp(context.draw.between(1, usual), std::min(range.min, left),
                                      std::min(range.max, left));
    lengths.push_back(length);
    left -= length;
  }
  return lengths;
}

/// Mostly chains, as drafts of several tokens are, with branches.
ParamValue draw_parents(const Context& context, const Wanted&) {
  constexpr int64_t most_nodes = 64;
  constexpr int percent_chained = 60;
  const int64_t most = std::min(context.c.problem.kv_len, most_nodes);
  std::vector<int64_t> parents(static_cast<size_t>(most == 0 ? 0 : context.draw.between(1, most)));
  for (size_t n = 0; n < parents.size(); ++n) {
    const int64_t last = static_cast<int64_t>(n) - 1;
    parents[n] = context.draw.chance(percent_chained) ? last : context.draw.between(-1, last);
  }
  return parents;
}

}  // namespace

void draw_mask(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
               Draw& draw, Case& c) {
  static constexpr ParamValue (*by_kind[])(const Context&, const Wanted&) = {
      draw_integer, draw_choice, draw_rows, draw_lengths, draw_parents};
  const Context context{claims, words, tokens, sizes, draw, c};
  for (size_t k = 0; k < rule_words().size(); ++k) {
    if (!words[rule_words()[k].rule]) continue;
    const RuleSpec* rule = rule_table()[k];
    RuleUse use{rule, {}};
    for (size_t n = 0; n < rule->params.size(); ++n) {
      const RuleParam& param = rule->params[n];
      use.values.push_back(by_kind[static_cast<size_t>(param.kind)](
          context, {*rule, param, rule_words()[k].choices[n]}));
    }
    c.problem.mask.rules.push_back(std::move(use));
  }
}

}  // namespace attnfuzz
