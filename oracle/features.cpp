#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "oracle/feature_set.h"

namespace attnfuzz {
namespace {

bool is_gqa(const Problem& p) {
  return p.num_kv_heads > 1 && p.num_kv_heads < p.num_heads;
}

bool uses_positions(const Mask& mask) {
  return std::any_of(mask.rules.begin(), mask.rules.end(),
                     [](const RuleUse& use) { return use.spec->positional; });
}

bool is_empty(const Case& c) {
  const Problem& p = c.problem;
  if (p.batch == 0 || p.num_heads == 0) return true;
  if (!c.cached()) return p.q_len == 0 || p.kv_len == 0;
  return std::any_of(c.steps.begin(), c.steps.end(),
                     [](const Step& step) { return step.has_tokens() && step.q_len == 0; });
}

/// Whether the mask differs from head to head: a choice like "bhqk" names the axis.
bool masks_by_head(const Mask& mask) {
  for (const RuleUse& use : mask.rules) {
    for (size_t n = 0; n < use.spec->params.size(); ++n) {
      const RuleParam& param = use.spec->params[n];
      if (param.name != "shape") continue;
      if (param.choices[static_cast<size_t>(use.integer(n))].find('h') != std::string_view::npos) {
        return true;
      }
    }
  }
  return false;
}

/// Whether some row sees no key at all. Over a cache none does: the rules that have a meaning there
/// let each query see its own token.
bool has_fully_masked_row(const Case& c) {
  const Problem& p = c.problem;
  if (c.cached() || p.memory_kv > 0 || p.batch * p.num_heads * p.q_len == 0) return false;
  if (p.kv_len == 0) return true;
  const bool bias_hides = c.data.nonfinite == NonFinite::inf_bias || c.data.given != nullptr;
  if (!bias_hides && std::all_of(p.mask.rules.begin(), p.mask.rules.end(),
                                 [](const RuleUse& use) { return use.spec->adds_bias; })) {
    return false;
  }
  const int64_t heads = bias_hides || masks_by_head(p.mask) ? p.num_heads : 1;
  std::vector<int64_t> key_pos(static_cast<size_t>(p.kv_len));
  std::iota(key_pos.begin(), key_pos.end(), 0);
  std::vector<uint8_t> visible(key_pos.size());
  std::vector<double> bias(p.mask.adds_bias() ? key_pos.size() : 0);
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < p.q_len; ++i) {
        std::fill(visible.begin(), visible.end(), uint8_t{1});
        mask_row({p, c.data, b, h, i, query_position(p, i), key_pos, first_token(p, b), 0},
                 {visible, bias});
        if (std::find(visible.begin(), visible.end(), 1) == visible.end()) return true;
      }
    }
  }
  return false;
}

std::string words(const ParamValue& value, const RuleParam& param) {
  if (param.kind == RuleParam::Kind::choice) {
    return std::string(param.choices[static_cast<size_t>(std::get<int64_t>(value))]);
  }
  if (const auto* number = std::get_if<int64_t>(&value)) return fmt::to_string(*number);
  return fmt::format("[{}]", fmt::join(std::get<std::vector<int64_t>>(value), ","));
}

std::string words(const RuleUse& use) {
  std::string text(use.spec->name);
  for (size_t n = 0; n < use.values.size(); ++n) {
    text += n == 0 ? '(' : ',';
    text += words(use.values[n], use.spec->params[n]);
  }
  return text + (use.values.empty() ? "" : ")");
}

std::string words(const Cache& cache) {
  std::string text(name(cache.kind));
  if (cache.capacity > 0) text += fmt::format("({}", cache.capacity);
  if (cache.page_size > 0) text += fmt::format("/{}", cache.page_size);
  if (cache.keep > 0) text += fmt::format("/{}", cache.keep);
  if (cache.capacity > 0) text += ")";
  if (cache.positions != Positions::kept) text += fmt::format(" {}", name(cache.positions));
  if (cache.quant != Quant::none)
    text += fmt::format(" {} by {}", name(cache.quant), name(cache.scales));
  return text;
}

std::string words(const Step& step) {
  std::string text(name(step.op));
  if (step.has_tokens() && step.op != StepOp::decode) text += fmt::to_string(step.q_len);
  if (step.kv_len.value_or(0) > 0) text += fmt::format("/kv{}", *step.kv_len);
  if (step.op == StepOp::crop) text += fmt::to_string(step.length);
  if (!step.lens.empty()) {
    text += fmt::format("[{}]{}", fmt::join(step.lens, ","), step.side == Side::left ? "left" : "");
  }
  if (step.op == StepOp::fork) text += fmt::format("{}→{}", step.from, step.to);
  if (step.op == StepOp::evict) text += fmt::format("{}+{}", step.start, step.count);
  if (step.op == StepOp::reorder) text += fmt::format("[{}]", fmt::join(step.rows, ","));
  return text;
}

}  // namespace

FeatureSet chosen_features(const Case& c) {
  const Problem& p = c.problem;
  FeatureSet found;
  const auto add = [&found](bool holds, std::string_view word, std::string_view value = "") {
    if (holds) found.set(word_index(fmt::format("{}{}", word, value)));
  };
  const bool differ = !c.cached() && lengths_differ(p);
  add(p.recurrent(), "kind:", name(p.kind));
  add(true, "dtype:", name(p.dtype));
  add(true, "layout:", name(p.layout));
  add(p.strides != Strides::dense, "strides:", name(p.strides));
  add(is_gqa(p), "gqa");
  add(p.num_kv_heads == 1 && p.num_heads > 1, "mqa");
  add(differ, "cross");
  add(!c.cached() && has_longer_q(p), "longer_q");
  add(p.head_dim_v != p.head_dim, "head_dim_v");
  add(p.scale.has_value(), "scale");
  add(p.softcap > 0, "softcap");
  add(p.sinks, "sinks");
  add(p.memory_kv > 0, "memory_kv");
  add(p.has_dropout(), "dropout");
  for (const Output output : p.outputs) add(output != Output::out, name(output));
  // An interleaved map of one KV head, or of as many as query heads, is the grouped one.
  add(p.head_map != HeadMap::grouped && is_gqa(p), "head_map:", name(p.head_map));
  add(p.bias_order != BiasOrder::after_softcap && p.softcap > 0 && p.mask.adds_bias(),
      "bias_order:", name(p.bias_order));
  add(p.rope != Rope::none, "rope:", name(p.rope));
  add(p.rope_dim > 0, "rope_part:", name(p.rope_part));
  add(p.rope_scaling.law != RopeLaw::none, "rope_scaling:", name(p.rope_scaling.law));
  add(p.rope_scaling.magnitude != 1, "rope_magnitude");
  add(!p.rope_positions.empty(), "rope_positions");
  add(is_empty(c), "empty");
  add(differ && uses_positions(p.mask), "align:", name(p.mask.align));
  for (const RuleUse& use : p.mask.rules) {
    add(true, "rule:", use.spec->name);
    for (size_t n = 0; n < use.values.size(); ++n) {
      const RuleParam& param = use.spec->params[n];
      if (param.kind != RuleParam::Kind::choice) continue;
      add(true, fmt::format("{}.{}:", use.spec->name, param.name), words(use.values[n], param));
    }
  }
  add(c.data.dist != Distribution::normal, "data:", name(c.data.dist));
  add(c.data.nonfinite != NonFinite::none, "nonfinite:", name(c.data.nonfinite));
  if (c.cached()) {
    add(true, "cache:", name(c.cache->kind));
    add(c.cache->quant != Quant::none, "quant:", name(c.cache->quant));
    add(c.cache->quant != Quant::none, "scales:", name(c.cache->scales));
  }
  for (const Step& step : c.steps) {
    add(true, "step:", name(step.op));
    add(step.op == StepOp::evict, "positions:", name(c.cache->positions));
    add(!step.lens.empty(), step.side == Side::left ? "ragged_left" : "ragged");
  }
  return found;
}

std::vector<std::string> features(const Case& c) {
  FeatureSet found = chosen_features(c);
  if (!c.problem.sinks && has_fully_masked_row(c))
    found.set(word_index(fmt::format("fully_masked:{}", name(c.problem.fully_masked))));
  return words_of(found);
}

std::string one_line(const Case& c) {
  const Problem& p = c.problem;
  const Problem plain;
  std::vector<std::string> parts;
  const auto add = [&parts](bool holds, std::string text) {
    if (holds) parts.push_back(std::move(text));
  };
  add(p.recurrent(), std::string(name(p.kind)));
  add(true, fmt::format("b{}", p.batch));
  add(true, p.num_kv_heads == p.num_heads ? fmt::format("h{}", p.num_heads)
                                          : fmt::format("h{}/{}", p.num_heads, p.num_kv_heads));
  add(!c.cached(), fmt::format("q{} kv{}", p.q_len, p.kv_len));
  add(true, p.head_dim_v == p.head_dim ? fmt::format("d{}", p.head_dim)
                                       : fmt::format("d{}/{}", p.head_dim, p.head_dim_v));
  add(true, std::string(name(p.dtype)));
  add(p.layout != plain.layout, std::string(name(p.layout)));
  add(p.strides != Strides::dense, fmt::format("strides={}", name(p.strides)));
  add(p.scale.has_value(), fmt::format("scale={}", p.scale.value_or(0)));
  add(p.softcap > 0, fmt::format("softcap={}", p.softcap));
  add(p.sinks, "sinks");
  add(p.memory_kv > 0, fmt::format("memory_kv={}", p.memory_kv));
  add(p.has_dropout(), fmt::format("dropout_keep={}%", p.dropout_keep));
  for (const Output output : p.outputs) add(output != Output::out, std::string(name(output)));
  add(p.head_map != plain.head_map, std::string(name(p.head_map)));
  add(p.bias_order != plain.bias_order, std::string(name(p.bias_order)));
  add(p.fully_masked != plain.fully_masked, fmt::format("fully_masked={}", name(p.fully_masked)));
  add(p.rope != plain.rope, fmt::format("rope={}({})", name(p.rope), p.rope_base));
  add(p.rope_dim > 0, fmt::format("rope_{}={}", name(p.rope_part), p.rope_dim));
  if (const RopeScaling& s = p.rope_scaling; s.law != RopeLaw::none) {
    std::string text = fmt::format("{}({}", name(s.law), s.factor);
    if (s.has_original_len()) text += fmt::format(",{}", s.original_len);
    if (s.has_ramp()) text += fmt::format(",{}..{}{}", s.low, s.high, s.truncate ? "" : " exact");
    text += s.magnitude != 1 ? fmt::format(",×{})", s.magnitude) : ")";
    add(true, std::move(text));
  }
  add(!p.rope_positions.empty(),
      fmt::format("rope_positions=[{}]", fmt::join(p.rope_positions, ",")));
  add(p.mask.align != plain.mask.align, std::string(name(p.mask.align)));
  for (const RuleUse& use : p.mask.rules) add(true, words(use));
  add(c.data.given != nullptr, "given");
  add(c.data.dist != Distribution::normal, std::string(name(c.data.dist)));
  add(c.data.nonfinite != NonFinite::none, std::string(name(c.data.nonfinite)));
  if (c.cached()) add(true, words(*c.cache));
  for (const Step& step : c.steps) add(true, words(step));
  return fmt::format("{}", fmt::join(parts, " "));
}

}  // namespace attnfuzz
