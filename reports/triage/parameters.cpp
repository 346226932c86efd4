#include "reports/triage/parameters.h"

#include <algorithm>
#include <string>
#include <utility>

#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

/// Words of a parameter's name, and the axes of its rows: what comes out of the projection.
struct Projection {
  std::string_view words;  ///< one of these, separated by spaces, is in the name
  char out;
  std::string_view whole = {};  ///< the layout, where it is no projection
};
constexpr Projection kProjections[] = {
    {"relative_attention_bias relative_position_bias_table rel_pos_bias rel_bias", 0, "oh"},
    {"embed_positions position_embeddings position_embedding wpe pos_embed", 0, "xm"},
    {"inv_freq", 0, "D"},
    {"k_norm key_norm k_layernorm", 0, "d|n"},
    {"q_norm query_norm q_layernorm", 0, "d|H"},
    {"qkv qkv_proj c_attn query_key_value wqkv in_proj_weight in_proj attn_qkv to_qkv", 'Q'},
    {"kv_proj to_kv wkv key_value", 'N'},
    {"k_proj v_proj wk wv to_k to_v key value attn_k attn_v k v k_lin v_lin", 'n'},
    {"relative_position_index", 0, "qk"},
    {"q_proj wq to_q query attn_q q q_lin", 'H'},
    {"o_proj out_proj wo dense c_proj attn_output o to_out", 'm'},
};

char lower(char x) {
  return x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x;
}

/// The letters of what comes out of a projection, as layouts.cpp writes them.
char out_of(const Projection& row) {
  return row.out == 'N' ? 'n' : row.out;
}
std::string_view letter_of(char out) {
  return out == 'Q' ? "Q" : out == 'n' ? "n" : out == 'H' ? "H" : "m";
}
std::string_view rows_of(char out) {
  return out == 'Q' ? "Qm" : out == 'n' ? "nm" : out == 'H' ? "Hm" : "mm";
}

std::vector<std::string_view> split(std::string_view text, char between) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(between), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

/// What comes out of the second matrix of an adapter.
std::string_view adapted(char out) {
  return out == 'Q' ? "Qo" : out == 'n' ? "no" : out == 'H' ? "Ho" : "mo";
}

/// Whether a name in running text can only be that of a projection: "k_proj", "Wqkv".
bool is_projection(std::string_view name) {
  static constexpr std::string_view whole[] = {"wq", "wk", "wv", "wo", "wkv", "wqkv", "qkv"};
  return name.find("proj") != name.npos || name.starts_with("to_") || name == "c_attn" ||
         std::find(std::begin(whole), std::end(whole), name) != std::end(whole);
}

/// The first dotted name that ends as parameters do.
std::string parameter_in(std::string_view message) {
  static constexpr std::string_view ends[] = {"weight", "bias",   "lora_a",     "lora_b",
                                              "scale",  "kernel", "inv_freq",   "in_proj_weight",
                                              "lora_A", "lora_B", "bias_table", "weight_scale"};
  size_t from = 0;
  while (from < message.size()) {
    const size_t end = std::min(message.find_first_of(" :,'\"()[]`", from), message.size());
    const std::string_view word = message.substr(from, end - from);
    from = end + 1;
    if (word.find('.') == word.npos) continue;
    for (const std::string_view last : ends)
      if (word.ends_with(last)) return std::string(word);
  }
  return "";
}

}  // namespace

std::vector<Layout> parameter_layouts(std::string_view message) {
  const std::string name = parameter_in(message);
  if (name.empty()) return {};
  const std::vector<std::string_view> parts = split(name, '.');
  const auto has = [&](std::string_view word) {
    return std::find(parts.begin(), parts.end(), word) != parts.end();
  };
  const bool first = has("lora_A") || has("lora_a"), second = has("lora_B") || has("lora_b");
  // The part nearest to the end tells.
  for (size_t k = parts.size(); k-- > 0;)
    for (const Projection& row : kProjections)
      for (const std::string_view word : split(row.words, ' ')) {
        const bool ends = parts[k].size() > word.size() && word.size() > 1 &&
                          parts[k].ends_with(word) &&
                          parts[k][parts[k].size() - word.size() - 1] == '_';
        if (parts[k] != word && !ends) continue;
        std::vector<Layout> all;
        for (const std::string_view whole : split(row.whole, '|'))
          all.push_back({Role::weight, whole, 5});
        if (row.out == 0) return all;
        const char out = out_of(row);
        all.push_back({Role::weight, letter_of(out), 3});
        if (first) return {{Role::weight, "om", 5}};
        const std::string_view rows = second ? adapted(out) : rows_of(out);
        all.push_back({Role::weight, rows, 5});
        if (rows == "mm") all.push_back({Role::weight, "mH", 5});
        return all;
      }
  // "attn.attn": all three in one, as a rule.
  if (parts.size() > 1 && (has("attn") || has("attention")) && second)
    return {{Role::weight, "Qo", 5}};
  return {};
}

std::vector<Layout> projection_layouts(std::string_view text) {
  const Projection* named = nullptr;
  for (size_t k = 0; k < text.size();) {
    const size_t from = k;
    while (k < text.size() && is_word(text[k])) ++k;
    std::string name(text.substr(from, k - from));
    k += k == from;
    std::transform(name.begin(), name.end(), name.begin(), lower);
    if (!is_projection(name)) continue;
    for (const Projection& row : kProjections) {
      const std::vector<std::string_view> words = split(row.words, ' ');
      if (row.out == 0 || std::find(words.begin(), words.end(), name) == words.end()) continue;
      if (named != nullptr && named != &row) return {};
      named = &row;
    }
  }
  if (named == nullptr) return {};
  constexpr double often = 8, seldom = 4;
  const char out = out_of(*named);
  const std::string_view turned = out == 'Q' ? "mQ" : out == 'n' ? "mn" : out == 'H' ? "mH" : "Hm";
  const auto others = layouts_of(Role::weight);
  std::vector<Layout> all(others.begin(), others.end());
  for (const auto& [axes, weight] :
       {std::pair{rows_of(out), often}, std::pair{turned, often}, std::pair{letter_of(out), seldom},
        std::pair{adapted(out), seldom}})
    all.push_back({Role::weight, axes, weight});
  return all;
}

}  // namespace attnfuzz::triage
