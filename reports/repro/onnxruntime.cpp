#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/repro/onnx_model.h"
#include "reports/repro/python.h"
#include "reports/repro/python_arrays.h"
#include "reports/repro/python_script.h"
#include "reports/repro/repro.h"
#include "reports/repro/rules.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

/// A call of one operator, in the terms of the script.
struct Node {
  std::string op;
  int opset = 0;                    ///< of ai.onnx; 0: an operator of com.microsoft
  std::vector<std::string> inputs;  ///< expressions; "None" for one left out
  std::vector<std::pair<std::string, std::string>> attributes;
  int outputs = 1;
  bool flat = true;  ///< out is [batch, len, heads · dim]
};

using repro::has, repro::only;

/// scale and softcap, where they are not at their defaults.
void add_numbers(Node& node, const Problem& p) {
  const auto real = [](double value) {  // an int would be another kind of attribute
    const std::string digits = text::number(value);
    return digits.find_first_of(".en") == digits.npos ? digits + ".0" : digits;
  };
  if (p.scale) node.attributes.emplace_back("scale", real(*p.scale));
  if (p.softcap > 0) node.attributes.emplace_back("softcap", real(p.softcap));
}

std::string lens_text(const RuleUse& padding, std::string_view type) {
  return fmt::format("np.array([{}], {})", fmt::join(padding.list(1), ", "), type);
}
bool left_side(const RuleUse& padding) {
  return padding.integer(0) == 0;
}

/// key_padding_mask in the shortest of its forms.
std::string padding_mask(const Case& c) {
  const Problem& p = c.problem;
  const RuleUse* padding = p.mask.find("padding");
  const bool short_form =
      padding && (p.q_len == p.kv_len ? only(c, {"padding", "causal"}) : only(c, {"padding"}));
  if (!short_form)
    return fmt::format("np.broadcast_to(mask[:, 0], ({}, {}, {})).astype(np.int32)", p.batch,
                       p.q_len, p.kv_len);
  if (!left_side(*padding)) return lens_text(*padding, "np.int32");
  return fmt::format("(np.arange({0}) >= {0} - {1}[:, None]).astype(np.int32)", p.kv_len,
                     lens_text(*padding, "np.int32"));
}

Node multi_head_attention(const Case& c) {
  const Problem& p = c.problem;
  Node node{"MultiHeadAttention", 0, {"flat(q)", "flat(k)", "flat(v)", "None"}, {}, 1, true};
  node.attributes = {{"num_heads", std::to_string(p.num_heads)}};
  add_numbers(node, p);
  if (c.cached()) {
    node.inputs.insert(node.inputs.end(), {"None", "None", "past[0]", "past[1]"});
    node.outputs = 3;
    node.attributes.emplace_back("unidirectional", has(c, "causal") ? "1" : "0");
    return node;
  }
  const bool causal = has(c, "causal") && p.q_len == p.kv_len;
  const bool all_said = causal ? only(c, {"bias", "alibi", "causal"}) : only(c, {"bias", "alibi"});
  node.inputs.push_back(all_said ? "None" : padding_mask(c));
  node.inputs.push_back(p.mask.adds_bias() ? "bias" : "None");
  if (causal) node.attributes.emplace_back("unidirectional", "1");
  return node;
}

/// Whether some step of a cached case needs query_seqlens.
bool has_ragged_step(const Case& c) {
  std::vector<int64_t> tokens(static_cast<size_t>(c.problem.batch));
  for (const Step& step : c.steps) {
    if (!step.lens.empty()) return true;
    const bool filled = std::any_of(tokens.begin(), tokens.end(), [](int64_t n) { return n > 0; });
    if (step.has_tokens() && step.q_len > 1 && tokens.size() > 1 && filled) return true;
    for (int64_t& n : tokens)
      n = step.op == StepOp::crop    ? std::min(n, step.length)
          : step.op == StepOp::reset ? 0
                                     : n + step.q_len;
  }
  return false;
}

Node group_query_attention(const Case& c) {
  const Problem& p = c.problem;
  Node node{"GroupQueryAttention", 0, {"flat(q)", "flat(k)", "flat(v)"}, {}, 3, true};
  std::vector<std::string>& in = node.inputs;
  if (c.cached())
    in.insert(in.end(),
              {"past[0]", "past[1]", "(total - 1).astype(np.int32)", "np.array(bound, np.int32)"});
  else
    in.insert(in.end(),
              {"None", "None", fmt::format("np.full({}, {}, np.int32)", p.batch, p.kv_len - 1),
               fmt::format("np.array({}, np.int32)", p.kv_len)});
  in.insert(in.end(), 3, "None");
  in.push_back(p.mask.adds_bias() ? "bias" : "None");
  in.push_back(p.sinks ? "sinks" : "None");
  node.attributes = {{"num_heads", std::to_string(p.num_heads)},
                     {"kv_num_heads", std::to_string(p.num_kv_heads)}};
  add_numbers(node, p);
  if (!has(c, "causal")) node.attributes.emplace_back("causal", "0");
  std::vector<int64_t> widths;
  if (const RuleUse* window = p.mask.find("window")) widths.push_back(window->integer(0) + 1);
  if (c.cached()) {
    if (has_ragged_step(c)) {
      in.insert(in.end(), 4, "None");
      in.push_back("np.array(lens, np.int32) if ragged else None");
    }
    if (c.cache->kind == CacheKind::ring) {
      widths.push_back(c.cache->capacity);
      node.attributes.emplace_back("sliding_window_cache", "1");
    }
  }
  if (!widths.empty())
    node.attributes.emplace_back("local_window_size",
                                 std::to_string(*std::min_element(widths.begin(), widths.end())));
  return node;
}

/// Of flattened inputs the operator must be told.
void add_heads(Node& node, const Problem& p) {
  if (!node.flat) return;
  node.attributes.emplace_back("q_num_heads", std::to_string(p.num_heads));
  node.attributes.emplace_back("kv_num_heads", std::to_string(p.num_kv_heads));
}

Node attention(const Case& c, int opset) {
  const Problem& p = c.problem;
  Node node{"Attention", opset, {"q", "k", "v"}, {}, 1, p.layout == Layout::bshd};
  if (node.flat) node.inputs = {"flat(q)", "flat(k)", "flat(v)"};
  add_numbers(node, p);
  std::vector<std::string_view> said;
  if (p.q_len == p.kv_len || p.mask.align == Align::top_left) {
    if (has(c, "causal")) {
      node.attributes.emplace_back("is_causal", "1");
      said.push_back("causal");
    }
    if (const RuleUse* window = p.mask.find("window"); window && opset >= 25) {
      node.attributes.emplace_back("left_window_size", std::to_string(window->integer(0)));
      node.attributes.emplace_back("right_window_size", std::to_string(window->integer(1)));
      said.push_back("window");
    }
  }
  if (c.cached()) {
    const bool said_window = std::find(said.begin(), said.end(), "window") != said.end();
    node.inputs.push_back(has(c, "window") && !said_window ? "seen" : "None");
    node.inputs.insert(node.inputs.end(), {"past[0]", "past[1]"});
    node.outputs = 3;
    add_heads(node, p);
    return node;
  }
  const RuleUse* padding = p.mask.find("padding");
  const bool nonpad = padding && !left_side(*padding) && said.empty();
  if (nonpad) {
    node.opset = std::max(opset, 24);
    said.push_back("padding");
  }
  const bool all_said =
      std::all_of(p.mask.rules.begin(), p.mask.rules.end(), [&](const RuleUse& use) {
        return std::find(said.begin(), said.end(), use.spec->name) != said.end();
      });
  std::string mask = all_said ? "None" : "trim(mask)";
  if (p.mask.adds_bias()) mask = "trim(np.where(mask, bias, -np.inf).astype(q.dtype))";
  node.inputs.insert(node.inputs.end(), {mask, "None", "None"});
  node.inputs.push_back(nonpad ? lens_text(*padding, "np.int64") : "None");
  add_heads(node, p);
  return node;
}

struct Operator {
  std::string_view target;
  Node (*node)(const Case&);
};
constexpr Operator kOperators[] = {
    {"onnxruntime:MultiHeadAttention", multi_head_attention},
    {"onnxruntime:GroupQueryAttention", group_query_attention},
    {"onnxruntime:Attention", [](const Case& c) { return attention(c, 23); }},
    {"onnxruntime:Attention-25", [](const Case& c) { return attention(c, 25); }},
};

constexpr std::string_view kFlat = "flat = lambda x: x.swapaxes(1, 2).reshape(*x.shape[::2], -1)\n";

onnx::Type element_type(DType dtype) {
  if (dtype == DType::f64) return onnx::Type::f64;
  return dtype == DType::f16 ? onnx::Type::f16 : onnx::Type::f32;
}

/// The type that an input's expression has.
onnx::Type type_of(std::string_view expression, DType dtype) {
  if (expression.find("np.int32") != expression.npos) return onnx::Type::i32;
  if (expression.find("np.int64") != expression.npos) return onnx::Type::i64;
  const bool boolean = expression == "trim(mask)" || expression == "seen";
  return boolean ? onnx::Type::boolean : element_type(dtype);
}

/// How many inputs there are up to the last that is not left out.
size_t used_inputs(const Node& node) {
  const auto last = std::find_if(node.inputs.rbegin(), node.inputs.rend(),
                                 [](const std::string& input) { return input != "None"; });
  return static_cast<size_t>(node.inputs.rend() - last);
}

/// The model as bytes, with a comment that says what it is.
std::string model_text(std::string_view variable, const Node& node, const Problem& p, bool cached) {
  onnx::Model model{node.op,      node.opset, {}, node.attributes, element_type(p.dtype),
                    node.outputs, cached};
  std::string attributes;
  for (const auto& [name, value] : node.attributes)
    attributes += fmt::format(", {}={}", name, value);
  for (size_t k = 0; k < used_inputs(node); ++k) {
    model.inputs.emplace_back();
    if (node.inputs[k] != "None")
      model.inputs.back() = {fmt::format("in{}", k), type_of(node.inputs[k], p.dtype)};
  }
  return fmt::format("# An ONNX model of one node: {} of {}{}\n{} = bytes.fromhex(\"{}\")\n",
                     node.op,
                     node.opset == 0 ? "com.microsoft" : fmt::format("opset {}", node.opset),
                     attributes, variable, onnx::model_hex(model));
}

/// Lines that run the model: `out`, and for a cache `past`.
std::string call_text(const Node& node, const Problem& p, bool cached) {
  std::string feeds, lines(node.flat ? kFlat : "");
  for (size_t k = 0; k < used_inputs(node); ++k)
    if (node.inputs[k] != "None")
      feeds += fmt::format("{}in{}={}", feeds.empty() ? "" : ", ", k, node.inputs[k]);
  if (feeds.find("trim(") != feeds.npos)
    lines += "trim = lambda x: trim(x[0]) if len(x) == 1 and x.ndim > 2 else x\n";
  const bool ragged = feeds.find("ragged") != feeds.npos;
  lines += fmt::format(
      "feeds = {{name: np.ascontiguousarray(x) for name, x in dict({}).items(){}}}\n"
      "{} = ort.InferenceSession({}, providers=[\"CPUExecutionProvider\"]).run(None, feeds)\n",
      feeds, ragged ? " if x is not None" : "", cached ? "out, *past[:]" : "out,",
      ragged ? "ragged_model if ragged else model" : "model");
  return lines + (node.flat ? fmt::format("return out.reshape({}, -1, {}, {}).swapaxes(1, 2)\n",
                                          p.batch, p.num_heads, p.head_dim_v)
                            : "return out\n");
}

/// past and present grow with each step, all rows alike.
PythonCache growing(const Node& node, const Case& c) {
  const Problem& p = c.problem;
  PythonCache cache;
  cache.setup = model_text("model", node, p, true) +
                fmt::format("past = [np.zeros(({}, {}, 0, n), {}) for n in ({}, {})]\n", p.batch,
                            p.num_kv_heads, python::numpy_type(p.dtype), p.head_dim, p.head_dim_v);
  cache.parameters = "q, k, v";
  if (std::find(node.inputs.begin(), node.inputs.end(), "seen") != node.inputs.end()) {
    const RuleUse& window = *p.mask.find("window");
    cache.attend = fmt::format(
        "j = np.arange(past[0].shape[2] + q.shape[2])\n"
        "i = j[past[0].shape[2]:, None]\n"
        "seen = (j >= i - {}) & (j <= i + {}){}\n",
        window.integer(0), window.integer(1), has(c, "causal") ? " & (j <= i)" : "");
  }
  cache.attend += call_text(node, p, true);
  cache.lengths = fmt::format("[past[0].shape[2]] * {}", p.batch);
  cache.reorder = "past[:] = [x[{rows}] for x in past]";
  cache.crop = cache.reset = "past[:] = [x[:, :, :{length}] for x in past]";
  return cache;
}

/// GroupQueryAttention's rows have lengths of their own, right-padded to one.
PythonCache buffers(Node node, const Case& c) {
  const Problem& p = c.problem;
  const bool dynamic = c.cache->kind == CacheKind::dynamic, ring = c.cache->kind == CacheKind::ring;
  PythonCache cache;
  cache.parameters = "q, k, v, lens";
  cache.attend = "total = tokens + lens\n";
  if (has_ragged_step(c)) {
    cache.setup = model_text("ragged_model", node, p, true);
    cache.attend +=
        "ragged = min(lens) < q.shape[2] or (q.shape[2] > 1 and len(lens) > 1 and tokens.any())\n"
        "bound = (tokens + q.shape[2]).max() if ragged else total.max()\n";
  } else {
    cache.attend += "bound = total.max()\n";
  }
  cache.attend += call_text(node, p, true);
  const size_t end = cache.attend.rfind("return ");
  cache.attend.insert(end, "tokens[:] = total\n");
  if (has_ragged_step(c)) node.inputs.pop_back();
  cache.setup +=
      model_text("model", node, p, true) +
      fmt::format("past, tokens = [np.zeros(({}, {}, {}, {}), {})] * 2, np.zeros({}, int)\n",
                  p.batch, p.num_kv_heads, dynamic ? 0 : c.cache->capacity, p.head_dim,
                  python::numpy_type(p.dtype), p.batch);
  cache.lengths =
      ring ? fmt::format("np.minimum(tokens, {}).tolist()", c.cache->capacity) : "tokens.tolist()";
  cache.reorder = "past[:], tokens[:] = [x[{rows}] for x in past], tokens[{rows}]";
  const std::string shorter = dynamic ? "past[:] = [x[:, :, :{length}] for x in past]; " : "";
  cache.crop = cache.reset = shorter + "tokens[:] = np.minimum(tokens, {length})";
  return cache;
}

}  // namespace

Repro onnxruntime_repro(const Case& c, const TargetInfo& target) {
  for (const Operator& each : kOperators) {
    if (each.target != repro::plain_name(target.name)) continue;
    const Node node = each.node(c);
    const std::string imports = "import onnxruntime as ort\n";
    if (!c.cached())
      return python_repro(c, target,
                          {.standard = "",
                           .imports = imports,
                           .helpers = "\n" + model_text("model", node, c.problem, false) + "\n",
                           .body = python::indented(call_text(node, c.problem, false)),
                           .needs = "onnxruntime"});
    PythonCache cache = node.op == "GroupQueryAttention" ? buffers(node, c) : growing(node, c);
    cache.imports = imports;
    cache.attend = python::indented(cache.attend);
    cache.needs = "onnxruntime";
    return python_steps_repro(c, target, cache);
  }
  return {};
}

}  // namespace attnfuzz
