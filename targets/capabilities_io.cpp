#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "oracle/mask.h"
#include "oracle/strict_json.h"
#include "oracle/suggest.h"
#include "targets/capabilities.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;

/// A value inside the JSON text and its path, for errors.
struct Node {
  const Json& json;
  std::string path;
  const std::string& where;

  [[noreturn]] void reject(const std::string& expected) const {
    throw InputError(where, path, expected);
  }
  Node at(size_t k) const { return {json.at(k), fmt::format("{}/{}", path, k), where}; }
  std::vector<Node> elements(const std::string& expected) const {
    if (!json.is_array()) reject("expected " + expected);
    std::vector<Node> nodes;
    for (size_t k = 0; k < json.size(); ++k) nodes.push_back(at(k));
    return nodes;
  }
  std::vector<std::pair<std::string, Node>> members(const std::string& expected) const {
    if (!json.is_object()) reject("expected " + expected);
    std::vector<std::pair<std::string, Node>> nodes;
    for (const auto& [key, value] : json.items())
      nodes.emplace_back(key, Node{value, path + pointer_part(key), where});
    return nodes;
  }
  std::string word(std::span<const std::string> known, const std::string& what) const {
    if (!json.is_string()) reject("expected " + what);
    auto text = json.get<std::string>();
    known_or_reject(text, known, what);
    return text;
  }
  void known_or_reject(const std::string& text, std::span<const std::string> known,
                       const std::string& what) const {
    if (std::find(known.begin(), known.end(), text) == known.end())
      reject(fmt::format("expected {}, not '{}'{}", what, text, did_you_mean_or_all(text, known)));
  }
  int64_t integer(int64_t min) const {
    if (!json.is_number_integer() || json.get<int64_t>() < min)
      reject(fmt::format("expected an integer of at least {}", min));
    return json.get<int64_t>();
  }
};

template <class E>
std::vector<std::string> words_of() {
  return {names_of<E>.begin(), names_of<E>.end()};
}

std::vector<std::string> sizes_known() {
  return {size_names().begin(), size_names().end()};
}

std::vector<std::string> params_known() {
  std::vector<std::string> known;
  for (const RuleSpec* rule : rule_table())
    for (const RuleParam& param : rule->params)
      known.push_back(fmt::format("{}.{}", rule->name, param.name));
  return known;
}

SizeRange read_range(const Node& node) {
  static constexpr auto expected = "[min, max] or [min, max, multiple_of]";
  const std::vector<Node> parts = node.elements(expected);
  if (parts.size() != 2 && parts.size() != 3) node.reject(fmt::format("expected {}", expected));
  SizeRange range;
  range.min = parts[0].integer(0);
  range.max = parts[1].integer(range.min);
  range.multiple_of = parts.size() == 3 ? parts[2].integer(1) : 1;
  if (range.max / range.multiple_of * range.multiple_of < range.min)
    node.reject(fmt::format("expected a multiple of {} in [{}, {}]", range.multiple_of, range.min,
                            range.max));
  return range;
}

std::map<std::string, SizeRange> read_ranges(const Node& node, std::span<const std::string> known,
                                             const std::string& what) {
  std::map<std::string, SizeRange> ranges;
  for (const auto& [key, value] : node.members("an object of ranges")) {
    value.known_or_reject(key, known, what);
    ranges[key] = read_range(value);
  }
  return ranges;
}

std::vector<std::string> read_words(const Node& node, std::span<const std::string> known,
                                    const std::string& what) {
  std::vector<std::string> words;
  for (const Node& element : node.elements("a list")) words.push_back(element.word(known, what));
  return words;
}

std::vector<std::pair<std::string, std::string>> read_pairs(const Node& node,
                                                            std::span<const std::string> known,
                                                            const std::string& what) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Node& element : node.elements("a list of pairs")) {
    const std::vector<std::string> words = read_words(element, known, what);
    if (words.size() != 2) element.reject("expected a pair");
    pairs.emplace_back(words[0], words[1]);
  }
  return pairs;
}

DType read_dtype(const Node& node) {
  return *parse_name<DType>(node.word(words_of<DType>(), "a dtype"));
}

constexpr int kMostExpUlps = 1 << 16;  // of f32: 1 in 128 of the weight

Precision read_precision(const Node& node, DType dtype) {
  Precision precision = default_precision(dtype);
  for (const auto& [key, value] : node.members("a precision")) {
    if (key == "accumulate") {
      precision.accumulate = read_dtype(value);
    } else if (key == "p") {
      precision.p = read_dtype(value);
    } else if (key == "scores") {
      precision.scores = read_dtype(value);
    } else if (key == "rope") {
      precision.rope = read_dtype(value);
    } else if (key == "exp_ulps") {
      if (!value.json.is_number() || !(value.json.get<double>() >= 0) ||
          value.json.get<double>() > kMostExpUlps)
        value.reject(fmt::format("expected a number from 0 to {}", kMostExpUlps));
      precision.exp_ulps = value.json.get<double>();
    } else if (key == "flush_subnormals") {
      if (!value.json.is_boolean()) value.reject("expected true or false");
      precision.flush_subnormals = value.json.get<bool>();
    } else if (key == "truncates") {
      if (!value.json.is_boolean()) value.reject("expected true or false");
      precision.truncates = value.json.get<bool>();
    } else if (key == "factor_bits") {
      if (!value.json.is_number_unsigned() || value.json.get<uint64_t>() > 53)
        value.reject("expected a number of bits, 0 to 53");
      precision.factor_bits = value.json.get<int>();
    } else {
      value.reject(
          "expected accumulate, p, scores, rope, exp_ulps, flush_subnormals, truncates or "
          "factor_bits");
    }
  }
  return precision;
}

void read_precisions(const Node& node, Capabilities& to) {
  for (const auto& [key, value] : node.members("an object by dtype")) {
    value.known_or_reject(key, words_of<DType>(), "a dtype");
    const DType dtype = *parse_name<DType>(key);
    to.precision[dtype] = read_precision(value, dtype);
  }
}

void read_tiles(const Node& node, Capabilities& to) {
  for (const auto& [key, value] : node.members("an object of lists")) {
    value.known_or_reject(key, sizes_known(), "a size");
    for (const Node& tile : value.elements("a list of tile sizes"))
      to.tiles[key].push_back(tile.integer(1));
  }
}

void read_features(const Node& node, Capabilities& to) {
  to.features = read_words(node, feature_words(), "a feature");
  std::sort(to.features.begin(), to.features.end());
  to.features.erase(std::unique(to.features.begin(), to.features.end()), to.features.end());
  const auto any_of = [&](std::string_view prefix) {
    return std::any_of(to.features.begin(), to.features.end(),
                       [&](const std::string& word) { return word.starts_with(prefix); });
  };
  if (!any_of("dtype:")) node.reject("expected at least one dtype:…");
  if (!any_of("layout:")) node.reject("expected at least one layout:…");
}

void read_excludes(const Node& node, Capabilities& to) {
  for (const Node& element : node.elements("a list of lists of features")) {
    to.excludes.push_back(read_words(element, feature_words(), "a feature"));
    if (to.excludes.back().empty()) element.reject("expected at least one feature");
  }
}

void read_compiled_for(const Node& node, Capabilities& to) {
  std::vector<std::string> known = sizes_known();
  known.insert(known.end(), feature_words().begin(), feature_words().end());
  to.compiled_for = read_words(node, known, "a size or a feature");
}

/// One line for each key of the JSON object.
struct Key {
  std::string_view name;
  void (*read)(const Node&, Capabilities&);
};
constexpr Key keys[] = {
    {"sizes",
     [](const Node& n, Capabilities& c) { c.sizes = read_ranges(n, sizes_known(), "a size"); }},
    {"equal",
     [](const Node& n, Capabilities& c) { c.equal = read_pairs(n, sizes_known(), "a size"); }},
    {"features", read_features},
    {"excludes", read_excludes},
    {"requires", [](const Node& n,
                    Capabilities& c) { c.required = read_pairs(n, feature_words(), "a feature"); }},
    {"precision", read_precisions},
    {"tiles", read_tiles},
    {"params",
     [](const Node& n, Capabilities& c) {
       c.params = read_ranges(n, params_known(), "a rule's parameter");
     }},
    {"max_rules", [](const Node& n, Capabilities& c) { c.max_rules = n.integer(0); }},
    {"compiled_for", read_compiled_for},
    {"properties",
     [](const Node& n, Capabilities& c) {
       c.properties.clear();
       for (const std::string& word : read_words(n, words_of<Property>(), "a property"))
         c.properties.push_back(*parse_name<Property>(word));
     }},
};

/// A size that goes with another one, and the features that let them differ.
struct Partner {
  std::string_view size, with;
  std::array<std::string_view, 2> unless;
};
constexpr Partner partners[] = {{"num_kv_heads", "num_heads", {"gqa", "mqa"}},
                                {"head_dim_v", "head_dim", {"head_dim_v", "head_dim_v"}},
                                {"kv_len", "q_len", {"cross", "longer_q"}}};

/// A size left out is its partner's: it would hold the partner to 1. A cache may hold what its
/// steps bring.
void add_partners(Capabilities& c) {
  for (const auto& [size, with, unless] : partners) {
    const auto range = c.sizes.find(std::string(with));
    if (range == c.sizes.end() || c.has(unless[0]) || c.has(unless[1])) continue;
    const auto [added, left_out] = c.sizes.try_emplace(std::string(size), range->second);
    const auto steps = c.sizes.find("steps");
    constexpr int64_t most = int64_t{1} << 31;
    if (left_out && size == "kv_len" && steps != c.sizes.end() && steps->second.max > 0)
      added->second.max = std::min(most, added->second.max) * std::min(most, steps->second.max);
  }
}

}  // namespace

Capabilities parse_capabilities(std::string_view json, const std::string& where) {
  const std::string place = where + " capabilities";
  const Json parsed = parse_json(json, place);
  const Node root{parsed, "", place};
  Capabilities capabilities;
  std::vector<std::string> known;
  for (const Key& key : keys) known.emplace_back(key.name);
  for (const auto& [name, value] : root.members("an object")) {
    value.known_or_reject(name, known, "a key of capabilities");
    for (const Key& key : keys)
      if (key.name == name) key.read(value, capabilities);
  }
  if (capabilities.features.empty()) root.reject("expected \"features\"");
  add_partners(capabilities);
  return capabilities;
}

}  // namespace attnfuzz
