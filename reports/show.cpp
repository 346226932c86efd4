#include "reports/show.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "oracle/sample.h"
#include "reports/show_steps.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

std::string value_text(const RuleParam& param, const ParamValue& value) {
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value))
    return fmt::format("[{}]", fmt::join(*list, ", "));
  const int64_t number = std::get<int64_t>(value);
  if (param.kind == RuleParam::Kind::choice)
    return std::string(param.choices[static_cast<size_t>(number)]);
  return std::to_string(number);
}

std::string sizes_words(const Case& c) {
  const Problem& p = c.problem;
  std::string words = fmt::format("Attention over {} with {}", text::count(p.batch, "sequence"),
                                  text::count(p.num_heads, "query head"));
  if (p.num_heads == p.num_kv_heads)
    words += " (a KV head each)";
  else
    words += fmt::format(" on {} ({})", text::count(p.num_kv_heads, "KV head"), name(p.head_map));
  if (!c.cached())
    words +=
        fmt::format(", {} on {}", p.q_len == 1 ? "1 query" : fmt::format("{} queries", p.q_len),
                    text::count(p.kv_len, "key"));
  words += fmt::format(", head size {}", p.head_dim);
  if (p.head_dim_v != p.head_dim) words += fmt::format(" (values {})", p.head_dim_v);
  return words + fmt::format(", {}, layout {}.\n", name(p.dtype), name(p.layout));
}

bool positional(const Mask& mask) {
  return std::any_of(mask.rules.begin(), mask.rules.end(),
                     [](const RuleUse& use) { return use.spec->positional; });
}

std::string mask_words(const Case& c) {
  const Problem& p = c.problem;
  if (p.mask.rules.empty()) return "Every query sees every key.\n";
  std::string words = "A query sees a key if all of these hold:\n";
  for (const RuleUse& use : p.mask.rules)
    words += fmt::format("  - {}: {}\n", rule_text(use), use.spec->words);
  if (positional(p.mask) && !c.cached() && lengths_differ(p))
    words += p.mask.find("packed") != nullptr
                 ? fmt::format("In each sequence {} ({}).\n",
                               p.mask.align == Align::top_left
                                   ? "the first query stands at the first key"
                                   : "the last query stands at the last key",
                               name(p.mask.align))
             : p.mask.align == Align::top_left
                 ? "Query 0 stands at key 0 (top_left).\n"
                 : fmt::format(
                       "The last query stands at the last key, query 0 at key {} "
                       "(bottom_right).\n",
                       p.kv_len - p.q_len);
  return words;
}

constexpr std::string_view kFullyMasked[] = {"zeros", "NaN", "the mean of all values",
                                             "anything (unchecked)"};

/// What a state decays by and takes in, by kind; empty for softmax.
constexpr std::string_view kStates[] = {
    "",
    "S decays by exp(gate), element by element of the key, and takes in k vᵀ",
    "S decays by 1 − 2^(−5 − g), g the KV head, and takes in k vᵀ",
    "S decays by exp(gate) of the token and takes in k vᵀ",
    "S takes in beta k (v − Sᵀ k)ᵀ (the delta rule)",
    "S decays by exp(gate) of the token, then takes in beta k (v − Sᵀ k)ᵀ (the delta rule)"};
static_assert(std::size(kStates) == names_of<ProblemKind>.size());

std::string source_of(const Data& data) {
  return data.given != nullptr ? "given tensors"
                               : fmt::format("{}, seed {}", name(data.dist), data.seed);
}

std::string data_words(const Data& data) {
  std::string words = "Data: " + source_of(data);
  if (data.nonfinite != NonFinite::none) words += fmt::format(", {}", name(data.nonfinite));
  return words + ".\n";
}

std::string state_words(const Case& c) {
  const Problem& p = c.problem;
  return fmt::format(
      "No softmax: each KV head carries a state S from token to token ({}). {}; a query reads "
      "scale · Sᵀ q, scale {}.\n{}",
      name(p.kind), kStates[static_cast<size_t>(p.kind)],
      p.scale ? text::number(*p.scale) : fmt::format("1/sqrt({})", p.head_dim), data_words(c.data));
}

std::string outputs_text(const Problem& p) {
  std::vector<std::string> words;
  for (const Output output : p.outputs) words.emplace_back(name(output));
  return text::list(words);
}

std::string rope_text(const Problem& p) {
  std::string text = fmt::format("{}, base {}", name(p.rope), text::number(p.rope_base));
  if (const RopeScaling& s = p.rope_scaling; s.law != RopeLaw::none) {
    text += fmt::format(", scaled: {} by {}", name(s.law), text::number(s.factor));
    if (s.has_original_len()) text += fmt::format(", original_len {}", s.original_len);
    if (s.has_ramp())
      text += fmt::format(", ramp from {} to {} rotations{}", text::number(s.low),
                          text::number(s.high), s.truncate ? "" : ", not truncated");
    if (s.magnitude != 1) text += fmt::format(", magnitude {}", text::number(s.magnitude));
  }
  if (!p.rope_positions.empty())
    text += fmt::format(", by the positions {}", fmt::join(p.rope_positions, ", "));
  if (p.rope_dim == 0) return text;
  return fmt::format("{}, the {} {} of {} elements", text, name(p.rope_part), p.rope_dim,
                     p.head_dim);
}

std::string option_words(const Case& c) {
  const Problem& p = c.problem;
  if (p.recurrent()) return state_words(c);
  std::string words = p.scale ? fmt::format("Scores are scaled by {}", text::number(*p.scale))
                              : fmt::format("Scores are scaled by 1/sqrt({})", p.head_dim);
  if (p.rope != Rope::none)
    words += fmt::format(", queries and keys turned by rope ({})", rope_text(p));
  if (p.softcap > 0) words += fmt::format(", soft-capped at {}", text::number(p.softcap));
  if (p.softcap > 0 && p.mask.adds_bias())
    words += p.bias_order == BiasOrder::after_softcap ? ", then the bias is added"
                                                      : " with the bias already in them";
  words += ".\n";
  if (p.sinks) words += "Each query head has a sink: a logit in the softmax's denominator alone.\n";
  if (p.memory_kv > 0)
    words += fmt::format("{} with learned values come before all others; every query sees them.\n",
                         text::count(p.memory_kv, "memory key"));
  if (p.has_dropout())
    words += fmt::format("Dropout keeps {}% of the weights, and divides them by that.\n",
                         p.dropout_keep);
  if (p.outputs.size() > 1) words += fmt::format("Asked for: {}.\n", outputs_text(p));
  if (!p.mask.rules.empty())
    words += fmt::format("A row that sees no key gives {}.\n",
                         kFullyMasked[static_cast<size_t>(p.fully_masked)]);
  return words + data_words(c.data);
}

/// Of a long case: on which rows it is judged.
std::string judged_sentence(const Case& c) {
  std::string words;
  for (const std::string& line : judged_words(c)) words += line + "\n";
  return words.empty() ? "" : "The case is long, so not all of its rows are judged;\n" + words;
}

}  // namespace

std::string rule_text(const RuleUse& use) {
  std::string words(use.spec->name);
  for (size_t k = 0; k < use.values.size(); ++k)
    words += fmt::format("{}{}={}", k == 0 ? "(" : ", ", use.spec->params[k].name,
                         value_text(use.spec->params[k], use.values[k]));
  return use.values.empty() ? words : words + ")";
}

std::vector<std::string> judged_words(const Case& c) {
  const Sample sample = sample_of(c);
  std::vector<std::string> words;
  for (size_t step = 0; step < sample.size(); ++step)
    if (sample[step])
      words.push_back(fmt::format("judged: {}{}",
                                  c.cached() ? fmt::format("of step {}, ", step) : "",
                                  words_of(*sample[step])));
  return words;
}

std::string describe(const Case& c) {
  return sizes_words(c) + mask_words(c) + option_words(c) + judged_sentence(c) +
         (c.cached() ? timeline(c) : "");
}

std::vector<std::pair<std::string, std::string>> axes_table(const Case& c) {
  const Problem& p = c.problem;
  std::vector<std::pair<std::string, std::string>> rows;
  for (const ProblemSize& size : problem_sizes()) {
    const bool of_steps = c.cached() && (size.name == "q_len" || size.name == "kv_len");
    const bool off = size.name == "memory_kv" && p.memory_kv == 0;
    if (!of_steps && !off) rows.emplace_back(size.name, std::to_string(p.*size.member));
  }
  if (p.recurrent()) rows.emplace_back("kind", name(p.kind));
  rows.emplace_back("dtype", name(p.dtype));
  rows.emplace_back("layout", name(p.layout));
  if (p.strides != Strides::dense) rows.emplace_back("strides", name(p.strides));
  for (const RuleUse& use : p.mask.rules) rows.emplace_back("mask", rule_text(use));
  if (positional(p.mask) && !c.cached() && lengths_differ(p))
    rows.emplace_back("align", name(p.mask.align));
  if (p.scale) rows.emplace_back("scale", text::number(*p.scale));
  if (p.softcap > 0) rows.emplace_back("softcap", text::number(p.softcap));
  if (p.sinks) rows.emplace_back("sinks", "yes");
  if (p.has_dropout()) rows.emplace_back("dropout_keep", fmt::format("{}%", p.dropout_keep));
  if (p.outputs.size() > 1) rows.emplace_back("outputs", outputs_text(p));
  if (p.rope != Rope::none) rows.emplace_back("rope", rope_text(p));
  if (p.num_heads != p.num_kv_heads) rows.emplace_back("head_map", name(p.head_map));
  if (p.softcap > 0 && p.mask.adds_bias()) rows.emplace_back("bias_order", name(p.bias_order));
  if (!p.mask.rules.empty()) rows.emplace_back("fully_masked", name(p.fully_masked));
  rows.emplace_back("data", source_of(c.data));
  if (c.data.nonfinite != NonFinite::none) rows.emplace_back("nonfinite", name(c.data.nonfinite));
  if (c.cached()) {
    rows.emplace_back("cache", name(c.cache->kind));
    if (c.cache->capacity > 0) rows.emplace_back("capacity", std::to_string(c.cache->capacity));
    if (c.cache->page_size > 0) rows.emplace_back("page_size", std::to_string(c.cache->page_size));
    if (c.cache->keep > 0) rows.emplace_back("keep", std::to_string(c.cache->keep));
    if (c.cache->positions != Positions::kept)
      rows.emplace_back("positions", name(c.cache->positions));
    if (c.cache->quant != Quant::none)
      rows.emplace_back(
          "quant", fmt::format("{}, scales by {}", name(c.cache->quant), name(c.cache->scales)));
    for (size_t s = 0; s < c.steps.size(); ++s)
      rows.emplace_back(fmt::format("step {}", s), step_text(c.steps[s]));
  }
  return rows;
}

}  // namespace attnfuzz
