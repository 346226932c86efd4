#include "oracle/feature_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace attnfuzz {
namespace {

template <class E>
void add_words(std::vector<std::string>& known, std::string_view prefix) {
  for (const std::string_view word : names_of<E>)
    known.push_back(fmt::format("{}:{}", prefix, word));
}

}  // namespace

const std::vector<std::string>& feature_words() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> known{"gqa",    "mqa",         "cross",  "longer_q",  "head_dim_v",
                                   "scale",  "softcap",     "sinks",  "memory_kv", "empty",
                                   "ragged", "ragged_left", "dropout"};
    known.insert(known.end(), names_of<Output>.begin() + 1, names_of<Output>.end());
    add_words<ProblemKind>(known, "kind");
    add_words<DType>(known, "dtype");
    add_words<Layout>(known, "layout");
    add_words<Align>(known, "align");
    add_words<HeadMap>(known, "head_map");
    add_words<BiasOrder>(known, "bias_order");
    add_words<FullyMasked>(known, "fully_masked");
    add_words<Distribution>(known, "data");
    add_words<NonFinite>(known, "nonfinite");
    add_words<CacheKind>(known, "cache");
    add_words<StepOp>(known, "step");
    add_words<Positions>(known, "positions");
    add_words<Scales>(known, "scales");
    add_words<RopePart>(known, "rope_part");
    for (const std::string_view word : {"rope:half", "rope:interleaved", "rope_magnitude",
                                        "rope_positions", "quant:int8", "quant:e4m3", "quant:e5m2"})
      known.emplace_back(word);
    for (const std::string_view strides : names_of<Strides>)
      if (strides != name(Strides::dense)) known.push_back(fmt::format("strides:{}", strides));
    for (const std::string_view law : names_of<RopeLaw>)
      if (law != name(RopeLaw::none)) known.push_back(fmt::format("rope_scaling:{}", law));
    for (const RuleSpec* rule : rule_table()) {
      known.push_back(fmt::format("rule:{}", rule->name));
      for (const RuleParam& param : rule->params)
        for (const std::string_view choice : param.choices)
          known.push_back(fmt::format("{}.{}:{}", rule->name, param.name, choice));
    }
    std::sort(known.begin(), known.end());
    return known;
  }();
  return words;
}

size_t word_index(std::string_view word) {
  const std::vector<std::string>& words = feature_words();
  const auto at = std::lower_bound(words.begin(), words.end(), word);
  if (at == words.end() || *at != word)
    throw std::logic_error(fmt::format("'{}' is no feature word", word));
  return static_cast<size_t>(at - words.begin());
}

FeatureSet words_like(std::string_view word_or_family) {
  FeatureSet set;
  if (!word_or_family.ends_with(':')) return set.set(word_index(word_or_family));
  const std::vector<std::string>& words = feature_words();
  for (size_t k = 0; k < words.size(); ++k)
    if (words[k].starts_with(word_or_family)) set.set(k);
  return set;
}

std::vector<std::string> words_of(const FeatureSet& set) {
  std::vector<std::string> words;
  for (size_t k = 0; k < feature_words().size(); ++k)
    if (set[k]) words.push_back(feature_words()[k]);
  return words;
}

}  // namespace attnfuzz
