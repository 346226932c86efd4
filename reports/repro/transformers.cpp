#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/repro/python.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// A model family; its settings are those of targets/python/adapters/transformers.py.
struct Family {
  std::string_view name, model, config, settings;
  bool window = false, layer_types = false, chunk = false;
};
constexpr Family kFamilies[] = {
    {"llama", "LlamaModel", "LlamaConfig", ""},
    {"llama4", "Llama4TextModel", "Llama4TextConfig",
     "attn_temperature_tuning=False, use_qk_norm=False, num_local_experts=1, "
     "num_experts_per_tok=1, "
     "moe_layers=[], intermediate_size_mlp=8",
     false, false, true},
    {"mistral", "MistralModel", "MistralConfig", "", true},
    {"qwen2", "Qwen2Model", "Qwen2Config", "max_window_layers=0", true, true},
    {"gemma2", "Gemma2Model", "Gemma2Config", "hidden_activation=\"gelu\"", true, true},
    {"gpt_oss", "GptOssModel", "GptOssConfig",
     "num_local_experts=1, num_experts_per_tok=1, rope_scaling=dict(rope_type=\"default\", "
     "rope_theta=1e4)",
     true, true},
};

/// The projections are replaced by modules that return what is known, positions are 0 (RoPE is then
/// the identity), and out is read in front of o_proj.
constexpr std::string_view kHelpers =
    R"(class Known(torch.nn.Module):  # a projection whose result is known
    def forward(self, hidden):
        return self.value

def flat(x):
    return torch.tensor(x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1))

)";

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

std::string config_text(const Case& c, const Name& name) {
  const Problem& p = c.problem;
  const RuleUse *window = p.mask.find("window"), *chunk = p.mask.find("chunk");
  std::string out = fmt::format(
      "    settings = dict(vocab_size=8, pad_token_id=0, num_hidden_layers=1, intermediate_size=8, "
      "hidden_size={},\n        num_attention_heads={}, num_key_value_heads={}, head_dim={}, "
      "attn_implementation=\"{}\"",
      p.num_heads * p.head_dim, p.num_heads, p.num_kv_heads, p.head_dim, name.implementation);
  const Family& f = *name.family;
  if (!f.settings.empty()) out += fmt::format(",\n        {}", f.settings);
  if (f.window) {
    const std::string width = window != nullptr ? std::to_string(window->integer(0) + 1)
                              : f.layer_types   ? "4096"
                                                : "None";
    out += fmt::format(", sliding_window={}, use_sliding_window={}", width,
                       window != nullptr ? "True" : "False");
  }
  if (f.chunk && chunk != nullptr)
    out += fmt::format(", attention_chunk_size={}", chunk->integer(0));
  if (p.softcap > 0)
    out += fmt::format(", attn_logit_softcapping={}, query_pre_attn_scalar={}",
                       text::number(p.softcap), p.head_dim);
  else if (f.name == "gemma2")
    out += fmt::format(", attn_logit_softcapping=None, query_pre_attn_scalar={}", p.head_dim);
  out += ")\n";
  if (f.layer_types)
    out += fmt::format(
        "    if importlib.util.find_spec(\"transformers.masking_utils\"):\n"
        "        settings[\"layer_types\"] = [\"{}_attention\"]\n",
        window != nullptr ? "sliding" : "full");
  return out;
}

std::string model_text(const Case& c, const Name& name) {
  std::string out = config_text(c, name);
  out += fmt::format(
      "    model = {}({}(**settings)).eval()\n"
      "    attention, seen = model.layers[0].self_attn, []\n"
      "    attention.q_proj, attention.k_proj, attention.v_proj = Known(), Known(), Known()\n"
      "    attention.o_proj.register_forward_pre_hook(lambda _, args: "
      "seen.append(args[0].detach().clone()))\n",
      name.family->model, name.family->config);
  if (name.family->name == "gpt_oss")
    out += fmt::format(
        "    attention.sinks.data = {}\n",
        c.problem.sinks ? "torch.tensor(sinks)"
                        : fmt::format("torch.full(({},), -float(\"inf\"))", c.problem.num_heads));
  return out;
}

/// One forward on q, k, v and the padding mask `real`: `out`.
std::string call_text(const Name& name, int64_t heads, std::string_view indent,
                      std::string_view more) {
  return fmt::format(
      "{0}for module, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v)):\n"
      "{0}    module.value = flat(x)\n"
      "{0}batch, _, new, _ = q.shape\n"
      "{0}with torch.inference_mode(){1}:\n"
      "{0}    model(inputs_embeds=torch.zeros(batch, new, model.config.hidden_size), "
      "attention_mask=real,\n"
      "{0}          position_ids=torch.zeros(batch, new, dtype=torch.long){2})\n"
      "{0}out = seen.pop().numpy().reshape(batch, new, {3}, -1).swapaxes(1, 2)\n",
      indent, name.compiled ? "" : ", torch.compiler.set_stance(\"force_eager\")", more, heads);
}

std::string real_text(const Case& c) {
  const Problem& p = c.problem;
  const RuleUse* padding = p.mask.find("padding");
  if (padding == nullptr)
    return fmt::format("    real = torch.ones({}, {}, dtype=torch.long)\n", p.batch, p.q_len);
  const std::string lens =
      fmt::format("torch.tensor([{}])[:, None]", fmt::join(padding->list(1), ", "));
  return fmt::format("    real = (torch.arange({0}) {1}).long()\n", p.q_len,
                     padding->integer(0) == 0 ? fmt::format(">= {} - {}", p.q_len, lens)
                                              : fmt::format("< {}", lens));
}

std::string cache_text(const Case& c) {
  if (c.cache->kind == CacheKind::dynamic)  // in newer releases its layers are as the config says
    return "    taken = inspect.signature(DynamicCache.__init__).parameters\n"
           "    cache = DynamicCache(**{\"config\": model.config} if \"config\" in taken else "
           "{})\n";
  return fmt::format(
      "    offered = dict(config=model.config, max_cache_len={}, max_batch_size={}, batch_size={}, "
      "device=\"cpu\", dtype=torch.float32)\n"
      "    taken = list(inspect.signature(StaticCache.__init__).parameters)\n"
      "    if \"max_batch_size\" in taken and \"batch_size\" in taken:\n"
      "        taken.remove(\"batch_size\")\n"
      "    cache = StaticCache(**{{name: x for name, x in offered.items() if name in taken}})\n",
      c.cache->capacity, c.problem.batch, c.problem.batch);
}

std::string steps_body(const Case& c, const Name& name) {
  std::string out = model_text(c, name) + cache_text(c);
  out += fmt::format(
      "    real, past = torch.ones({0}, 0, dtype=torch.long), 0\n"
      "    positions = \"cache_position\" in inspect.signature(model.forward).parameters  # older "
      "releases\n"
      "    for op, *given in steps:\n"
      "        out = None\n"
      "        with torch.inference_mode():\n"
      "            if op == \"reorder\":\n"
      "                cache.reorder_cache(torch.tensor(given[0]))\n"
      "            elif op == \"crop\":\n"
      "                cache.crop(given[0] - past)\n"
      "                real, past = real[:, :given[0]], given[0]\n"
      "            elif op == \"reset\":\n"
      "                cache.reset()\n"
      "                real, past = real[:, :0], 0\n"
      "            else:\n"
      "                q, k, v, _ = given\n"
      "                real = torch.ones({0}, past + q.shape[2], dtype=torch.long)\n"
      "                more = {{\"cache_position\": torch.arange(past, past + q.shape[2])}} if "
      "positions "
      "else {{}}\n",
      c.problem.batch);
  out += call_text(name, c.problem.num_heads, "                ",
                   ", past_key_values=cache, use_cache=True, **more");
  return out + fmt::format(
                   "                past += q.shape[2]\n"
                   "        yield out, [int(cache.get_seq_length())] * {}\n",
                   c.problem.batch);
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
  PythonCall call{
      .standard = "",
      .imports = fmt::format("import torch\nfrom transformers.models.{} import {}, {}\n",
                             name.family->name, name.family->config, name.family->model),
      .helpers = std::string(kHelpers),
      .body = "",
      .needs = "transformers, torch"};
  if (name.family->layer_types) call.standard += "import importlib.util\n";
  if (!c.cached()) {
    call.body = model_text(c, name) + real_text(c) +
                call_text(name, c.problem.num_heads, "    ", ", use_cache=False") +
                "    return out\n";
    call.imports += "\n";
    return python_repro(c, target, call);
  }
  call.standard += "import inspect\n";
  call.imports += fmt::format("from transformers import {}\n\n",
                              c.cache->kind == CacheKind::dynamic ? "DynamicCache" : "StaticCache");
  call.body = steps_body(c, name);
  return python_steps_repro(c, target, call);
}

}  // namespace attnfuzz
