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

/// A parameter to be drawn, and what was drawn of the rule before it.
struct Wanted {
  const RuleSpec& rule;
  const RuleParam& param;
  const std::vector<size_t>& choices;
  const std::vector<ParamValue>& before;
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

/// Adds what is left of `total` to the lengths, at random: to some more than to others, to some
/// nothing.
void share_out(int64_t left, int64_t most, Draw& draw, std::vector<int64_t>& lens) {
  for (int tries = 0; left > 0 && tries < 64; ++tries) {
    int64_t& len = lens[static_cast<size_t>(draw.between(0, std::ssize(lens) - 1))];
    const int64_t more = std::min({left, most - len, draw.between(1, std::max<int64_t>(1, left))});
    len += more;
    left -= more;
  }
  lens.back() += left;
}

/// Few sequences and many, with some that have no query.
ParamValue draw_q_lens(const Context& context, const Wanted& wanted) {
  constexpr int64_t most_sequences = 9;
  constexpr int percent_empty = 15;
  const SizeRange range = limits(context, wanted);
  const Interval aimed = context.sizes.aim().of(Quantity::sequences).meet({1, most_sequences});
  const int64_t total = context.c.problem.q_len;
  const int64_t fitting = range.min > 0 ? std::max<int64_t>(1, total / range.min) : most_sequences;
  const int64_t most = std::min({most_sequences, fitting, std::max(total + 2, aimed.min)});
  const int64_t count = context.sizes.between_ends(
      std::min(aimed.min, most), std::min({most, aimed.max, std::max<int64_t>(4, aimed.min)}));
  std::vector<int64_t> lens(static_cast<size_t>(count), range.min);
  const bool empty = range.min == 0 && context.sizes.aim().of(Quantity::empty_q).min > 0;
  std::vector<int64_t> filled;
  for (int64_t n = 0; n < count; ++n)
    if (range.min > 0 || !context.draw.chance(percent_empty)) filled.push_back(n);
  if (empty && count > 1 && std::ssize(filled) == count) filled.erase(filled.begin());
  if (filled.empty()) filled.push_back(count - 1);
  std::vector<int64_t> shares(filled.size(), range.min);
  share_out(total - range.min * count, range.max, context.draw, shares);
  for (size_t k = 0; k < filled.size(); ++k) lens[static_cast<size_t>(filled[k])] = shares[k];
  return lens;
}

/// As many keys as queries in each sequence, at least as many, or any number: as the features say.
ParamValue draw_kv_lens(const Context& context, const Wanted& wanted) {
  static const size_t cross = word_index("cross"), longer = word_index("longer_q");
  const std::vector<int64_t>& q_lens = std::get<std::vector<int64_t>>(wanted.before.back());
  const Problem& p = context.c.problem;
  if ((!context.words[cross] && p.q_len == p.kv_len) || q_lens.empty()) return q_lens;
  const SizeRange range = limits(context, wanted);
  std::vector<int64_t> lens = q_lens;
  if (context.words[longer])
    for (int64_t& len : lens)
      len = std::max<int64_t>(range.min, len > 0 && !context.may_be_fully_masked ? 1 : 0);
  int64_t left = p.kv_len;
  for (int64_t& len : lens) {
    len = std::min(len, left);
    left -= len;
  }
  share_out(left, range.max, context.draw, lens);
  return lens;
}

}  // namespace

void draw_mask(const Claims& claims, const FeatureSet& words, int64_t tokens, SizeDrawer& sizes,
               Draw& draw, Case& c) {
  static constexpr ParamValue (*by_kind[])(const Context&, const Wanted&) = {
      draw_integer, draw_choice, draw_rows, draw_lengths, draw_parents, draw_q_lens, draw_kv_lens};
  const Context context{claims, words, tokens, sizes, draw, c};
  for (size_t k = 0; k < rule_words().size(); ++k) {
    if (!words[rule_words()[k].rule]) continue;
    const RuleSpec* rule = rule_table()[k];
    RuleUse use{rule, {}};
    for (size_t n = 0; n < rule->params.size(); ++n) {
      const RuleParam& param = rule->params[n];
      use.values.push_back(by_kind[static_cast<size_t>(param.kind)](
          context, {*rule, param, rule_words()[k].choices[n], use.values}));
    }
    c.problem.mask.rules.push_back(std::move(use));
  }
}

}  // namespace attnfuzz
