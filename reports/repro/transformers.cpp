#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "reports/repro/python.h"
#include "reports/repro/python_script.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// A model family; its settings are those of targets/python/adapters/transformers.py.
struct Family {
  std::string_view name, model, config;
  std::array<std::string_view, 6> settings{};
  bool window = false, layer_types = false, chunk = false, softcap = false;
};
constexpr Family kFamilies[] = {
    {.name = "llama", .model = "LlamaModel", .config = "LlamaConfig"},
    {.name = "llama4",
     .model = "Llama4TextModel",
     .config = "Llama4TextConfig",
     .settings = {"attn_temperature_tuning=False", "use_qk_norm=False", "num_local_experts=1",
                  "num_experts_per_tok=1", "moe_layers=[]", "intermediate_size_mlp=8"},
     .chunk = true},
    {.name = "mistral", .model = "MistralModel", .config = "MistralConfig", .window = true},
    {.name = "qwen2",
     .model = "Qwen2Model",
     .config = "Qwen2Config",
     .settings = {"max_window_layers=0"},
     .window = true,
     .layer_types = true},
    {.name = "gemma2",
     .model = "Gemma2Model",
     .config = "Gemma2Config",
     .settings = {"hidden_activation=\"gelu\""},
     .window = true,
     .layer_types = true,
     .softcap = true},
    {.name = "gpt_oss",
     .model = "GptOssModel",
     .config = "GptOssConfig",
     .settings = {"num_local_experts=1", "num_experts_per_tok=1",
                  "rope_scaling=dict(rope_type=\"default\", rope_theta=1e4)"},
     .window = true,
     .layer_types = true},
};

/// "llama4-flex-uncompiled": the words between the dashes.
struct Name {
  const Family* family = nullptr;
  std::string implementation;
  bool compiled = true, plain = true;  ///< plain: no cache class of its own
};

Name parse(std::string_view target) {
  Name name;
  std::string_view rest = target.substr(target.find(':') + 1);
  const size_t dash = std::min(rest.find('-'), rest.size());
  for (const Family& family : kFamilies)
    if (family.name == rest.substr(0, dash)) name.family = &family;
  rest.remove_prefix(std::min(dash + 1, rest.size()));
  const size_t end = std::min(rest.find('-'), rest.size());
  name.implementation = rest.substr(0, end) == "flex" ? "flex_attention" : rest.substr(0, end);
  rest.remove_prefix(end);
  name.compiled = rest != "-uncompiled";
  name.plain = rest.empty() || !name.compiled;
  return name;
}

int64_t hidden_size(const Case& c, const Name& name) {
  // GPT-OSS' experts ask for rows of a multiple of 16 bytes.
  constexpr int64_t of_experts = 16;
  return name.family->name == "gpt_oss" ? of_experts : c.problem.num_heads * c.problem.head_dim;
}

std::vector<std::string> settings(const Case& c, const Name& name) {
  const Problem& p = c.problem;
  const RuleUse *window = p.mask.find("window"), *chunk = p.mask.find("chunk");
  const Family& f = *name.family;
  std::vector<std::string> out{"vocab_size=8", "pad_token_id=0", "num_hidden_layers=1",
                               "intermediate_size=8"};
  const auto add = [&](std::string_view key, const auto& value) {
    out.push_back(fmt::format("{}={}", key, value));
  };
  add("hidden_size", hidden_size(c, name));
  add("num_attention_heads", p.num_heads);
  add("num_key_value_heads", p.num_kv_heads);
  add("head_dim", p.head_dim);
  add("attn_implementation", fmt::format("\"{}\"", name.implementation));
  for (const std::string_view setting : f.settings)
    if (!setting.empty()) out.emplace_back(setting);
  if (f.window) {
    add("sliding_window", window != nullptr ? std::to_string(window->integer(0) + 1)
                          : f.layer_types   ? "4096"
                                            : "None");
    add("use_sliding_window", window != nullptr ? "True" : "False");
  }
  if (f.layer_types)
    add("layer_types", window != nullptr ? "[\"sliding_attention\"]" : "[\"full_attention\"]");
  if (f.chunk && chunk != nullptr) add("attention_chunk_size", chunk->integer(0));
  if (f.softcap) {
    add("attn_logit_softcapping", p.softcap > 0 ? text::number(p.softcap) : "None");
    add("query_pre_attn_scalar", p.head_dim);
  }
  return out;
}

/// The projections return what is known, positions are 0 (RoPE is then the identity), and out is
/// read in front of o_proj.
std::string model_text(const Case& c, const Name& name, const std::string& cache = "") {
  std::string out = fmt::format(
      "{}\n"
      "attention, seen{} = model.layers[0].self_attn, []{}\n"
      "attention.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))\n",
      python::filled(fmt::format("model = {}({}(", name.family->model, name.family->config),
                     settings(c, name), ")).eval()"),
      cache.empty() ? "" : ", cache", cache.empty() ? "" : ", " + cache);
  if (name.family->name == "gpt_oss")
    out += fmt::format(
        "attention.sinks.data = {}\n",
        c.problem.sinks ? "torch.tensor(sinks)"
                        : fmt::format("torch.full(({},), -float(\"inf\"))", c.problem.num_heads));
  return out;
}

/// One forward on q, k, v; `real` is the attention mask.
std::string call_text(const Case& c, const Name& name, std::string_view real,
                      std::string_view more) {
  const Problem& p = c.problem;
  return fmt::format(
      "for projection, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, "
      "v)):\n"
      "    projection.forward = lambda _, known=torch.tensor(x.swapaxes(1, "
      "2).reshape(*x.shape[::2], -1)): known\n"
      "with torch.inference_mode(){}:\n"
      "    model(inputs_embeds=torch.zeros(*q.shape[::2], {}), attention_mask={},\n"
      "          position_ids=torch.zeros(*q.shape[::2], dtype=torch.long), {})\n"
      "return seen.pop().numpy().reshape({}, -1, {}, {}).swapaxes(1, 2)\n",
      name.compiled ? "" : ", torch.compiler.set_stance(\"force_eager\")", hidden_size(c, name),
      real, more, p.batch, p.num_heads, p.head_dim_v);
}

/// [batch, kv_len]: 1 for a token, 0 for padding.
std::string real_text(const Case& c) {
  const RuleUse* padding = c.problem.mask.find("padding");
  if (padding == nullptr) return "torch.ones(*k.shape[::2], dtype=torch.long)";
  return fmt::format("({}).long()", repro::torch_padding(*padding, c.problem.kv_len));
}

/// Whether a release comes before another: "4.51.3" before {4, 56}.
bool is_before(std::string_view version, std::pair<int, int> release) {
  const char* end = version.data() + version.size();
  int major = 0, minor = 0;
  const char* dot = std::from_chars(version.data(), end, major).ptr;
  if (dot != end) std::from_chars(dot + 1, end, minor);
  return std::pair(major, minor) < release;
}

/// From 4.56 on a dynamic cache takes a config, which tells it of windows.
std::string cache_text(const Case& c, std::string_view version) {
  if (c.cache->kind == CacheKind::dynamic)
    return is_before(version, {4, 56}) ? "DynamicCache()" : "DynamicCache(config=model.config)";
  return fmt::format(
      "StaticCache(config=model.config, max_cache_len={}, max_batch_size={}, device=\"cpu\", "
      "dtype=torch.float32)",
      c.cache->capacity, c.problem.batch);
}

/// What generate() passes to all models from 4.44 on and before 5.0; later ones take and ignore it.
std::string positions_text(std::string_view version) {
  return is_before(version, {4, 44}) || !is_before(version, {5, 0})
             ? ""
             : ", cache_position=torch.arange(start, start + q.shape[2])";
}

/// Rows of a ragged step are padded on the left by the adapter: more than a script should hold.
bool is_ragged(const Case& c) {
  return std::any_of(c.steps.begin(), c.steps.end(),
                     [](const Step& step) { return !step.lens.empty(); });
}

}  // namespace

Repro transformers_repro(const Case& c, const TargetInfo& target) {
  const Name name = parse(repro::plain_name(target.name));
  if (name.family == nullptr || !name.plain || is_ragged(c)) return {};
  const std::string_view cache = !c.cached()                           ? ""
                                 : c.cache->kind == CacheKind::dynamic ? "DynamicCache, "
                                                                       : "StaticCache, ";
  const std::string imports = fmt::format("import torch\nfrom transformers import {}{}, {}\n",
                                          cache, name.family->config, name.family->model);
  if (!c.cached()) {
    return python_repro(
        c, target,
        {.standard = "",
         .imports = imports,
         .helpers = "",
         .body = python::indented(model_text(c, name) +
                                  call_text(c, name, real_text(c), "use_cache=False")),
         .needs = "transformers, torch"});
  }
  return python_steps_repro(
      c, target,
      {.imports = imports,
       .setup = model_text(c, name, cache_text(c, target.version)),
       .parameters = "q, k, v, start",
       .attend = python::indented(call_text(
           c, name,
           fmt::format("torch.ones({}, start + q.shape[2], dtype=torch.long)", c.problem.batch),
           "past_key_values=cache" + positions_text(target.version))),
       .lengths = fmt::format("[int(cache.get_seq_length())] * {}", c.problem.batch),
       .reorder = "cache.reorder_cache(torch.tensor({rows}))",
       .crop = "cache.crop({length} - {start})",
       .reset = "cache.reset()",
       .needs = "transformers, torch"});
}

}  // namespace attnfuzz
