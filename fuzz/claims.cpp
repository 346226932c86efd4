#include "fuzz/claims.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "oracle/combinations.h"
#include "oracle/mask.h"

namespace attnfuzz {
namespace {

constexpr size_t none = static_cast<size_t>(-1);
constexpr int percent_cached = 70;     // of a target that can do both
constexpr int percent_gradients = 35;  // of the cases of a target that has a backward pass

/// "padding.side" of "padding.side:left"; empty without a colon.
std::string_view prefix_of(std::string_view word) {
  const size_t colon = word.find(':');
  return colon == std::string_view::npos ? std::string_view() : word.substr(0, colon);
}

bool overlap(const SizeRange& a, const SizeRange& b) {
  for (int64_t value = std::max(a.min, b.min); value <= std::min(a.max, b.max); ++value)
    if (value % a.multiple_of == 0 && value % b.multiple_of == 0) return true;
  return false;
}

/// Words that stand for what a case is anyhow; features() does not give them.
constexpr std::string_view defaults[] = {"data:normal", "nonfinite:none", "head_map:grouped",
                                         "kind:softmax", "bias_order:after_softcap"};
/// Prefixes of words that come with others or are chosen for every case.
constexpr std::string_view not_optional[] = {"dtype", "layout",       "cache",
                                             "step",  "fully_masked", "positions"};

/// How often a case uses what makes its axes differ, and the commonest rule, in percent: before and
/// beside the optional features that are drawn evenly.
struct Usual {
  std::string_view word;
  int percent;
};
constexpr Usual usual[] = {{"cross", 45},     {"longer_q", 12},   {"gqa", 35},
                           {"mqa", 10},       {"head_dim_v", 30}, {"rule:causal", 30},
                           {"rope:half", 15}, {"quant:int8", 20}, {"quant:e4m3", 20}};

bool is_gradient_word(std::string_view word) {
  const std::optional<Output> output = parse_name<Output>(word);
  return output && is_gradient(*output);
}

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

Claims::Claims(const Capabilities& capabilities) : capabilities_(capabilities) {
  read_sizes();
  read_words();
}

void Claims::read_sizes() {
  const std::span<const std::string_view> names = size_names();
  const auto axis_of = [&](std::string_view name) {
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  for (size_t axis = 0; axis < axis_count; ++axis) {
    const bool absent = axis >= static_cast<size_t>(Axis::memory_kv);
    const auto named = capabilities_.sizes.find(std::string(names[axis]));
    ranges_[axis] = named != capabilities_.sizes.end() ? named->second
                    : absent                           ? SizeRange{0, 0, 1}
                                                       : SizeRange{1, 1, 1};
    same_as_[axis] = static_cast<Axis>(axis);
  }
  for (const auto& [name, tiles] : capabilities_.tiles) tiles_[axis_of(name)] = tiles;
  for (const auto& [a, b] : capabilities_.equal) {
    const Axis first = std::min(same_as_[axis_of(a)], same_as_[axis_of(b)]);
    const Axis second = std::max(same_as_[axis_of(a)], same_as_[axis_of(b)]);
    for (Axis& axis : same_as_)
      if (axis == second) axis = first;
    SizeRange& range = ranges_[static_cast<size_t>(first)];
    const SizeRange& other = ranges_[static_cast<size_t>(second)];
    range.min = std::max(range.min, other.min);
    range.max = std::min(range.max, other.max);
    range.multiple_of = std::lcm(range.multiple_of, other.multiple_of);
  }
}

void Claims::need(size_t word, const std::vector<size_t>& one_of) {
  OneOf& choices = needs_[word].emplace_back();
  for (const size_t choice : one_of)
    if (declared_[choice]) choices.push_back(choice);
  if (!choices.empty()) return;
  std::vector<std::string_view> names;
  for (const size_t choice : one_of) names.push_back(feature_words()[choice]);
  missing_partners_[word] = fmt::format("{}", fmt::join(names, " or "));
}

void Claims::exclude(const std::vector<std::string>& together) {
  FeatureSet& all = excludes_.emplace_back();
  for (const std::string& word : together) all.set(word_index(word));
}

/// Words that say that two sizes differ, where the target wants them equal or has one of each.
void Claims::deny_by_sizes() {
  const auto equal = [&](Axis a, Axis b) {
    const SizeRange &x = range(a), &y = range(b);
    const bool one = x.min == x.max && y.min == y.max && x.min == y.min;
    return same_as(a) == same_as(b) || one;
  };
  const auto deny = [&](bool holds, std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words)
      if (holds && declared_[word_index(word)]) denied_by_sizes_.set(word_index(word));
  };
  deny(equal(Axis::head_dim, Axis::head_dim_v), {"head_dim_v"});
  deny(equal(Axis::q_len, Axis::kv_len), {"cross", "longer_q"});
  deny(equal(Axis::num_heads, Axis::num_kv_heads), {"gqa", "mqa"});
  declared_ &= ~denied_by_sizes_;
}

/// What goes together whatever the target. Words that no cache may stand beside are told
/// apart: whether a case has one is drawn first.
void Claims::combine() {
  const FeatureSet caches = words_like("cache:");
  for (const Combination& each : combinations()) {
    if (each.kind == Combination::Kind::needs_one_of) {
      need(each.word, each.others);
      continue;
    }
    FeatureSet& others = forbidden_beside_[each.word];
    for (const size_t other : each.others) others.set(other);
    if ((others & caches) == caches) uncached_only_.set(each.word);
  }
}

void Claims::read_words() {
  const std::vector<std::string>& words = feature_words();
  if (words.size() > FeatureSet().size())
    throw std::logic_error("more feature words than FeatureSet holds");
  needs_.resize(words.size());
  forbidden_beside_.resize(words.size());
  missing_partners_.resize(words.size());
  group_of_.assign(words.size(), none);
  std::map<std::string_view, size_t> groups;
  const auto put_in_group = [&](size_t word, std::string_view name) {
    const auto group = groups.try_emplace(name, groups_.size()).first->second;
    if (group == groups_.size()) groups_.emplace_back();
    group_of_[word] = group;
    if (declared_[word]) groups_[group].push_back(word);
  };
  for (const std::string& word : capabilities_.features) declared_.set(word_index(word));
  deny_by_sizes();
  for (size_t k = 0; k < words.size(); ++k) {
    const std::string_view prefix = prefix_of(words[k]);
    if (words[k] == "gqa" || words[k] == "mqa") put_in_group(k, "gqa");
    if (!prefix.empty() && prefix != "rule" && prefix != "step") put_in_group(k, prefix);
    if (prefix == "step" || prefix == "quant" || prefix == "scales" ||
        words[k].starts_with("ragged"))
      cached_only_.set(k);
    if (prefix == "align" || words[k] == "cross" || words[k] == "longer_q") uncached_only_.set(k);
    const bool gradient = is_gradient_word(words[k]);
    if (gradient && declared_[k]) gradients_.push_back(k);
    const bool is_choice = prefix.find('.') != std::string_view::npos;  // comes with its rule
    if (declared_[k] && !gradient && !is_choice && !contains(defaults, words[k]) &&
        !contains(not_optional, prefix))
      optional_.push_back(k);
  }

  caches_ = groups_[groups["cache"]];
  aligns_ = groups_[groups["align"]];
  fully_masked_ = groups_[groups["fully_masked"]];
  cross_ = word_index("cross");

  for (const auto& [word, percent] : usual)
    if (declared_[word_index(word)]) usual_.emplace_back(word_index(word), percent);

  for (const RuleSpec* rule : rule_table()) {
    const size_t word = word_index(fmt::format("rule:{}", rule->name));
    rules_.set(word);
    if (rule->positional) positional_rules_.set(word);
  }
  for (const std::string_view kind : names_of<ProblemKind>)
    if (kind != name(ProblemKind::softmax))
      with_state_.set(word_index(fmt::format("kind:{}", kind)));
  combine();
  for (const auto& [word, needed] : capabilities_.required)
    need(word_index(word), {word_index(needed)});
  for (const std::vector<std::string>& together : capabilities_.excludes) exclude(together);

  for (const std::string_view prefix : {"dtype", "layout"})
    always_.push_back(groups_[groups[prefix]]);
  const auto always = [&](bool holds, std::initializer_list<std::string_view> one_of) {
    if (!holds) return;
    OneOf& choices = always_.emplace_back();
    for (const std::string_view word : one_of)
      if (declared_[word_index(word)]) choices.push_back(word_index(word));
  };
  always(!overlap(range(Axis::num_heads), range(Axis::num_kv_heads)), {"gqa", "mqa"});
  always(!overlap(range(Axis::q_len), range(Axis::kv_len)) && caches_.empty(), {"cross"});
  always(!overlap(range(Axis::head_dim), range(Axis::head_dim_v)), {"head_dim_v"});
  always(range(Axis::memory_kv).min > 0, {"memory_kv"});
  if ((declared_ & with_state_).any() && !declared_[word_index("kind:softmax")])
    always_.push_back(groups_[groups["kind"]]);
}

const SizeRange* Claims::param(std::string_view name) const {
  const auto at = capabilities_.params.find(std::string(name));
  return at == capabilities_.params.end() ? nullptr : &at->second;
}

bool Claims::may_be_fully_masked(const FeatureSet& words) const {
  return std::any_of(fully_masked_.begin(), fully_masked_.end(),
                     [&](size_t word) { return words[word]; });
}

bool Claims::same_choice(size_t a, size_t b) const {
  return group_of_[a] != none && group_of_[a] == group_of_[b];
}

bool Claims::allowed(const FeatureSet& words) const {
  if ((words & ~declared_).any()) return false;
  for (size_t word = words._Find_first(); word < words.size(); word = words._Find_next(word))
    if ((forbidden_beside_[word] & words).any()) return false;
  return std::none_of(excludes_.begin(), excludes_.end(),
                      [&](const FeatureSet& all) { return (all & ~words).none(); });
}

bool Claims::add_one_of(FeatureSet& words, const OneOf& choices, Draw& draw) const {
  for (const size_t word : choices)
    if (words[word]) return true;
  if (choices.empty()) return false;
  // From a random start, the first that can be added.
  const auto start = static_cast<size_t>(draw.between(0, static_cast<int64_t>(choices.size()) - 1));
  for (size_t k = 0; k < choices.size(); ++k)
    if (add(words, choices[(start + k) % choices.size()], draw)) return true;
  return false;
}

/// Adds the word and all that it needs, or nothing.
bool Claims::add(FeatureSet& words, size_t word, Draw& draw) const {
  if (words[word]) return true;
  const size_t group = group_of_[word];
  if (group != none)
    for (const size_t other : groups_[group])
      if (words[other]) return false;
  FeatureSet more = words;
  more.set(word);
  if (static_cast<int64_t>((more & rules_).count()) > capabilities_.max_rules) return false;
  for (const OneOf& choices : needs_[word])
    if (!add_one_of(more, choices, draw)) return false;
  if (!allowed(more)) return false;
  words = more;
  return true;
}

/// Those that what the case uses has already.
void Claims::add_gradients(FeatureSet& words) const {
  const auto is_used = [&](const OneOf& choices) {
    return std::any_of(choices.begin(), choices.end(), [&](size_t word) { return words[word]; });
  };
  for (const size_t word : gradients_) {
    FeatureSet more = words;
    more.set(word);
    const std::vector<OneOf>& needs = needs_[word];
    if (std::all_of(needs.begin(), needs.end(), is_used) && allowed(more)) words = more;
  }
}

/// Whether the case is to use a cache.
bool Claims::draw_cached(Draw& draw, const Aim& aim) const {
  const FeatureSet& with = aim.words;
  const bool can_be_uncached = range(Axis::steps).min == 0;
  if (caches_.empty() || range(Axis::steps).max == 0) return false;
  if (can_be_uncached && aim.cached()) return *aim.cached();
  if (!can_be_uncached || (with & cached_only_).any()) return true;
  if (std::any_of(caches_.begin(), caches_.end(), [&](size_t word) { return with[word]; }))
    return true;
  return (with & uncached_only_).none() && draw.chance(percent_cached);
}

FeatureSet Claims::draw_features(Draw& draw, int64_t most, const Aim& aim) const {
  FeatureSet words;
  const FeatureSet& with = aim.words;
  const bool cached = draw_cached(draw, aim);
  const FeatureSet forbidden = (cached ? uncached_only_ : cached_only_) | aim.without;
  const auto try_add = [&](size_t word) {
    FeatureSet more = words;
    if (!forbidden[word] && add(more, word, draw) && (more & forbidden).none()) words = more;
  };
  if (with.any())
    for (size_t word = 0; word < with.size(); ++word)
      if (with[word]) try_add(word);
  if (cached) add_one_of(words, caches_, draw);
  for (const OneOf& one_of : always_) add_one_of(words, one_of, draw);

  if (most > 0)
    for (const auto& [word, percent] : usual_)
      if (draw.chance(percent)) try_add(word);
  constexpr int64_t counts[] = {0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 6};
  const int64_t count = std::min(most, draw.pick(std::span<const int64_t>(counts)));
  for (int64_t k = 0; k < count && !optional_.empty(); ++k)
    try_add(draw.pick(std::span<const size_t>(optional_)));
  if (words[cross_] && (words & positional_rules_).any()) add_one_of(words, aligns_, draw);
  add_one_of(words, fully_masked_, draw);
  if (!cached && most > 0 && !gradients_.empty() && draw.chance(percent_gradients))
    add_gradients(words);
  return words;
}

}  // namespace attnfuzz
