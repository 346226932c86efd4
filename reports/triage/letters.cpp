#include "reports/triage/letters.h"

#include <algorithm>
#include <map>

namespace attnfuzz::triage {
namespace {

/// A custom of naming the axes of a shape: the letters that must all be there, and what they mean.
struct Custom {
  std::string_view letters;  ///< in lower case
  std::string_view axes;     ///< letters of axes.h, in the same order; l is any length
};
/// The first whose letters are all in the shape's names.
constexpr Custom kCustoms[] = {
    {"btnh", "bqhd"}, {"bsnh", "bkhd"}, {"bnts", "bhqk"}, {"btkgh", "bqgrd"}, {"bskh", "bkgd"},
    {"bnsd", "bhld"}, {"bsnd", "blhd"}, {"bnld", "bhld"}, {"bhnd", "bhld"},   {"bmhk", "bqhd"},
    {"bhqk", "bhqk"}, {"bhij", "bhqk"}, {"bhqd", "bhqd"}, {"bhkd", "bgkd"},   {"bhsd", "bhld"},
    {"bhld", "bhld"}, {"bhtd", "bhld"}, {"bnhd", "blhd"}, {"bhtc", "bhld"},   {"nchw", "bmoo"},
    {"bnc", "blm"},   {"btc", "blm"},   {"blc", "blm"},   {"blhd", "blhd"},   {"btd", "blm"},
    {"bld", "blm"},   {"bsd", "blm"},   {"bsh", "blm"},   {"bid", "bqd"},     {"bjd", "bkd"},
    {"bij", "bqk"},   {"hij", "hqk"},   {"hnd", "hld"},   {"thd", "thd"},     {"tnd", "thd"},
    {"ij", "qk"},
};

std::string letters_of(std::span<const std::string> names) {
  std::string letters;
  for (const std::string& name : names) {
    std::string bare = name;
    while (!bare.empty() && (bare.back() == '_' || (bare.back() >= '0' && bare.back() <= '9')))
      bare.pop_back();
    letters += bare.size() == 1 ? static_cast<char>(bare[0] | 32) : ' ';
  }
  return letters;
}

AxisGuess guess_of(char letter) {
  if (letter == 'l') return {Axis::q_len, .75, true};
  return {axis_of_letter(letter), .75, false};
}

/// The letters of one side of a pattern, a string for each tensor; "(b h)" is one axis.
using Term = std::vector<std::string>;
std::vector<Term> terms_of(std::string_view side) {
  std::vector<Term> terms(1);
  const bool spaced = side.find(' ') != side.npos &&
                      std::any_of(side.begin(), side.end(), [](char x) { return x == ' '; }) &&
                      side.find_first_not_of(" ,()") != side.npos;
  std::string word;
  int depth = 0;
  const auto end_word = [&](bool group_ends) {
    if (depth > 0 && !group_ends) {
      word += ' ';
      return;
    }
    while (!word.empty() && word.back() == ' ') word.pop_back();
    if (!word.empty()) terms.back().push_back(std::move(word));
    word.clear();
  };
  bool words = false;  // einops: names of several letters, separated by spaces
  for (size_t k = 0; k + 1 < side.size(); ++k)
    words =
        words || (spaced && side[k] == ' ' && side[k + 1] != ' ' && k > 0 && side[k - 1] != ',');
  for (const char x : side) {
    if (x == ',') {
      end_word(false);
      terms.emplace_back();
    } else if (x == '(') {
      end_word(false);
      ++depth;
    } else if (x == ')') {
      --depth;
      end_word(true);
    } else if (x == ' ') {
      end_word(false);
    } else if (x != '.') {
      word += x;
      if (!words && depth == 0) end_word(false);
    }
  }
  end_word(true);
  return terms;
}

AxisGuess of_product(const std::vector<AxisGuess>& parts) {
  const auto both = [&](Axis one, Axis other) {
    return parts.size() == 2 && ((parts[0].axis == one && parts[1].axis == other) ||
                                 (parts[0].axis == other && parts[1].axis == one));
  };
  if (both(Axis::batch, Axis::num_heads)) return {Axis::batch_heads, .8, false};
  if (both(Axis::batch, Axis::num_kv_heads)) return {Axis::batch_kv_heads, .8, false};
  if (both(Axis::num_heads, Axis::head_dim)) return {Axis::hidden, .8, false};
  if (both(Axis::num_kv_heads, Axis::head_dim)) return {Axis::kv_hidden, .8, false};
  if (both(Axis::batch, Axis::q_len)) return {Axis::tokens, .7, false};
  return {};
}

std::vector<std::string> split(const std::string& word) {
  std::vector<std::string> parts(1);
  for (const char x : word)
    if (x == ' ')
      parts.emplace_back();
    else
      parts.back() += x;
  return parts;
}

/// What the letters of a product of two tensors are by where they stand: what is in both inputs and
/// not in the output is summed over, what is in all three goes along.
void tell_by_place(const std::vector<Term>& in, const Term& out,
                   std::map<std::string, AxisGuess>& told) {
  if (in.size() != 2) return;
  const auto has = [](const Term& term, const std::string& word) {
    return std::find(term.begin(), term.end(), word) != term.end();
  };
  // Scores: one letter is summed over, one more is in each input alone.
  std::vector<std::string> inner, first, second, along;
  for (const std::string& word : in[0])
    (has(in[1], word) ? (has(out, word) ? along : inner) : first).push_back(word);
  for (const std::string& word : in[1])
    if (!has(in[0], word)) second.push_back(word);
  if (inner.size() != 1 || first.size() != 1 || second.size() != 1 || along.empty()) return;
  const bool scores = inner[0] == in[0].back() && inner[0] == in[1].back();
  if (!scores) return;
  told[inner[0]] = {Axis::head_dim, .8, false};
  told[first[0]] = {Axis::q_len, .8, false};
  told[second[0]] = {Axis::kv_len, .8, false};
  told[along[0]] = {along.size() == 1 ? Axis::batch_heads : Axis::batch, .6, false};
  if (along.size() == 2) told[along[1]] = {Axis::num_heads, .8, false};
}

}  // namespace

void keep_each_once(std::vector<AxisGuess>& axes, std::span<const std::string> names) {
  for (size_t k = 0; k < axes.size(); ++k)
    for (size_t other = 0; other < axes.size(); ++other) {
      const bool twice = other != k && axes[k].axis != Axis::none && !axes[k].any_length &&
                         axes[k].axis == axes[other].axis &&
                         axes[k].strength < axes[other].strength;
      if (!twice) continue;
      // "N" counts heads where another name counts tokens, and tokens where one is of features.
      const auto has = [&](auto&& is) { return std::any_of(axes.begin(), axes.end(), is); };
      const bool tokens =
          has([](const AxisGuess& each) { return each.any_length || is_length(each.axis); });
      const bool features = has([](const AxisGuess& each) {
        return is_features(each.axis) || each.axis == Axis::head_dim;
      });
      const bool heads = has([](const AxisGuess& each) { return is_heads(each.axis); });
      const bool count = names[k] == "N" || names[k] == "n";
      const bool is_heads_count = !heads && (tokens || !features);
      axes[k] = !count           ? AxisGuess{}
                : is_heads_count ? AxisGuess{Axis::num_heads, .6, false}
                                 : AxisGuess{Axis::q_len, .4, true};
    }
}

std::vector<AxisGuess> axes_of_names(std::span<const std::string> names) {
  std::vector<AxisGuess> axes;
  for (const std::string& name : names) axes.push_back(axis_of(name));
  const std::string letters = letters_of(names);
  for (const Custom& custom : kCustoms) {
    const bool all = std::all_of(custom.letters.begin(), custom.letters.end(),
                                 [&](char letter) { return letters.find(letter) != letters.npos; });
    if (!all) continue;
    for (size_t k = 0; k < names.size(); ++k)
      if (const size_t at = custom.letters.find(letters[k]); at != custom.letters.npos)
        axes[k] = guess_of(custom.axes[at]);
    break;
  }
  keep_each_once(axes, names);
  // "dim" beside rows and a length without heads are a layer's features.
  const auto has = [&](auto&& is) { return std::any_of(axes.begin(), axes.end(), is); };
  const bool whole =
      has([](const AxisGuess& each) { return each.axis == Axis::batch; }) &&
      has([](const AxisGuess& each) { return each.any_length || is_length(each.axis); }) &&
      !has([](const AxisGuess& each) { return is_heads(each.axis); });
  constexpr double bare = .5;
  for (AxisGuess& each : axes)
    if (whole && each.axis == Axis::head_dim && each.strength < bare)
      each = {Axis::hidden, .6, false};
  return axes;
}

std::vector<std::vector<AxisGuess>> axes_of_pattern(std::string_view pattern) {
  const size_t arrow = pattern.find("->");
  if (arrow == pattern.npos || pattern.size() > 120) return {};
  const bool possible = std::all_of(pattern.begin(), pattern.end(), [](char x) {
    return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') ||
           std::string_view(" ,()->._").find(x) != std::string_view::npos;
  });
  if (!possible) return {};
  const std::vector<Term> in = terms_of(pattern.substr(0, arrow)),
                          out = terms_of(pattern.substr(arrow + 2));
  std::map<std::string, AxisGuess> told;
  // All letters of the pattern tell each other.
  std::vector<std::string> all;
  for (const std::vector<Term>* side : {&in, &out})
    for (const Term& term : *side)
      for (const std::string& word : term)
        for (std::string& part : split(word))
          if (std::find(all.begin(), all.end(), part) == all.end()) all.push_back(std::move(part));
  const std::vector<AxisGuess> guesses = axes_of_names(all);
  for (size_t k = 0; k < all.size(); ++k) told[all[k]] = guesses[k];
  tell_by_place(in, out.front(), told);
  std::vector<std::vector<AxisGuess>> axes;
  for (const std::vector<Term>* side : {&in, &out})
    for (const Term& term : *side) {
      axes.emplace_back();
      for (const std::string& word : term) {
        std::vector<AxisGuess> parts;
        for (const std::string& part : split(word)) parts.push_back(told[part]);
        axes.back().push_back(parts.size() == 1 ? parts[0] : of_product(parts));
      }
    }
  return axes;
}

}  // namespace attnfuzz::triage
