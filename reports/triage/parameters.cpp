#include "reports/triage/parameters.h"

#include <algorithm>
#include <string>

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

std::vector<std::string_view> split(std::string_view text, char between) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(between), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
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
  static constexpr std::string_view letters[] = {"m", "n", "Q", "H"};
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
        const char out = row.out == 'N' ? 'n' : row.out;
        for (const std::string_view letter : letters)
          if (letter[0] == out) all.push_back({Role::weight, letter, 3});
        if (first) return {{Role::weight, "om", 5}};
        const std::string_view rows = out == 'Q'   ? (second ? "Qo" : "Qm")
                                      : out == 'n' ? (second ? "no" : "nm")
                                      : out == 'H' ? (second ? "Ho" : "Hm")
                                                   : (second ? "mo" : "mm");
        all.push_back({Role::weight, rows, 5});
        if (rows == "mm") all.push_back({Role::weight, "mH", 5});
        return all;
      }
  // "attn.attn": all three in one, as a rule.
  if (parts.size() > 1 && (has("attn") || has("attention")) && second)
    return {{Role::weight, "Qo", 5}};
  return {};
}

}  // namespace attnfuzz::triage
