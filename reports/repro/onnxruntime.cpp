#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/repro/onnx_model.h"
#include "reports/repro/python.h"
#include "reports/repro/python_arrays.h"
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
    node.inputs.insert(node.inputs.end(), {"None", "None", "*past"});
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

Node group_query_attention(const Case& c) {
  const Problem& p = c.problem;
  Node node{"GroupQueryAttention", 0, {"flat(q)", "flat(k)", "flat(v)"}, {}, 3, true};
  std::vector<std::string>& in = node.inputs;
  if (c.cached())
    in.insert(in.end(), {"*past", "(total - 1).astype(np.int32)", "np.array(bound, np.int32)"});
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
    in.insert(in.end(), 4, "None");
    in.push_back("real.astype(np.int32) if ragged else None");
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
    node.inputs.push_back("*past");
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

constexpr std::string_view kModel = R"(def field(number, x):  # of a protobuf message
    varint = lambda n: bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(x, (int, float)):
        return varint(number << 3) + varint(x) if isinstance(x, int) else varint(number << 3 | 5) + struct.pack("<f", x)
    x = x.encode() if isinstance(x, str) else x
    return varint(number << 3 | 2) + varint(len(x)) + x

def run(op, opset, arrays, outputs, **attributes):  # a model of one node (opset 0: com.microsoft's)
    kinds = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}
    typed = lambda name, x, dims=b"": field(1, name) + field(2, field(1, field(1, kinds[x.dtype.name]) + dims))
    last = max(i for i, a in enumerate(arrays) if a is not None)
    feeds = {f"in{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays) if a is not None}
    node = b"".join(field(1, "" if a is None else f"in{i}") for i, a in enumerate(arrays[:last + 1])) + field(4, op)
    node += b"".join(field(2, f"out{i}") for i in range(outputs))
    for name, x in attributes.items():
        node += field(5, field(1, name) + field(3 - isinstance(x, float), x) + field(20, 2 - isinstance(x, float)))
    graph = field(1, node + field(7, "" if opset else "com.microsoft")) + field(2, op)
    graph += b"".join(field(11, typed(n, x, field(2, field(1, b"") * x.ndim))) for n, x in feeds.items())
    graph += b"".join(field(12, typed(f"out{i}", arrays[0])) for i in range(outputs))
    model = field(1, 11) + field(7, graph) + field(8, field(2, opset or 21)) + field(8, field(1, "com.microsoft") + field(2, 1))
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)

)";

constexpr std::string_view kFlat =
    "    flat = lambda x: x.swapaxes(1, 2).reshape(*x.shape[::2], -1)\n";

std::string run_text(const Node& node) {
  std::string call = fmt::format("run(\"{}\", {}, [{}], {}", node.op, node.opset,
                                 fmt::join(node.inputs, ", "), node.outputs);
  for (const auto& [name, value] : node.attributes) call += fmt::format(", {}={}", name, value);
  return call + ")";
}

onnx::Type element_type(DType dtype) {
  if (dtype == DType::f64) return onnx::Type::f64;
  return dtype == DType::f16 ? onnx::Type::f16 : onnx::Type::f32;
}

/// The type that an input's expression has.
onnx::Type type_of(std::string_view expression, DType dtype) {
  if (expression.find("np.int32") != expression.npos) return onnx::Type::i32;
  if (expression.find("np.int64") != expression.npos) return onnx::Type::i64;
  return expression == "trim(mask)" ? onnx::Type::boolean : element_type(dtype);
}

/// One call: the model as bytes, and the lines that feed it.
void call_once(const Node& node, const Problem& p, PythonCall& call) {
  onnx::Model model{node.op, node.opset, {}, node.attributes, element_type(p.dtype), node.outputs};
  std::string feeds, attributes;
  for (const auto& [name, value] : node.attributes)
    attributes += fmt::format(", {}={}", name, value);
  size_t used = 0;
  for (size_t k = 0; k < node.inputs.size(); ++k)
    if (node.inputs[k] != "None") used = k + 1;
  for (size_t k = 0; k < used; ++k) {
    model.inputs.emplace_back();
    if (node.inputs[k] == "None") continue;
    model.inputs.back() = {fmt::format("in{}", k), type_of(node.inputs[k], p.dtype)};
    feeds += fmt::format("{}in{}={}", feeds.empty() ? "" : ", ", k, node.inputs[k]);
  }
  call.helpers =
      fmt::format("# An ONNX model of one node: {} of {}{}\nmodel = bytes.fromhex(\"{}\")\n\n",
                  node.op, node.opset == 0 ? "com.microsoft" : fmt::format("opset {}", node.opset),
                  attributes, onnx::model_hex(model));
  if (node.flat) call.body += kFlat;
  if (feeds.find("trim(") != feeds.npos)
    call.body += "    trim = lambda x: trim(x[0]) if len(x) == 1 and x.ndim > 2 else x\n";
  call.body += fmt::format(
      "    feeds = {{name: np.ascontiguousarray(x) for name, x in dict({}).items()}}\n"
      "    out = ort.InferenceSession(model, providers=[\"CPUExecutionProvider\"]).run([\"out\"], "
      "feeds)[0]\n",
      feeds);
  call.body += node.flat ? fmt::format("    return out.reshape({}, {}, {}, -1).swapaxes(1, 2)\n",
                                       p.batch, p.q_len, p.num_heads)
                         : "    return out\n";
}

/// The lines that run a step, after q, k, v and lens are there.
std::string attend_text(const Node& node, const Problem& p) {
  std::string lines = fmt::format("            out, *past = {}\n", run_text(node));
  if (node.flat)
    lines += fmt::format("            out = out.reshape({}, -1, {}, {}).swapaxes(1, 2)\n", p.batch,
                         p.num_heads, p.head_dim_v);
  return lines;
}

/// past and present grow with each step, all rows alike.
std::string growing_body(const Node& node, const Case& c) {
  const Problem& p = c.problem;
  std::string body(node.flat ? kFlat : "");
  body +=
      fmt::format(R"(    past = [np.zeros(({}, {}, 0, n), {}) for n in ({}, {})]
    for op, *given in steps:
        out = None
        if op == "reorder":
            past = [x[given[0]] for x in past]
        elif op in ("crop", "reset"):
            past = [x[:, :, :given[0]] for x in past]
        else:
            q, k, v, _ = given
)",
                  p.batch, p.num_kv_heads, python::numpy_type(p.dtype), p.head_dim, p.head_dim_v);
  if (std::find(node.inputs.begin(), node.inputs.end(), "seen") != node.inputs.end()) {
    const RuleUse& window = *p.mask.find("window");
    body += fmt::format(
        "            i = np.arange(past[0].shape[2], past[0].shape[2] + q.shape[2])[:, None]\n"
        "            j = np.arange(past[0].shape[2] + q.shape[2])\n"
        "            seen = (j >= i - {}) & (j <= i + {}){}\n",
        window.integer(0), window.integer(1), has(c, "causal") ? " & (j <= i)" : "");
  }
  return body + attend_text(node, p) +
         fmt::format("        yield out, [past[0].shape[2]] * {}\n", p.batch);
}

/// GroupQueryAttention's rows have lengths of their own, right-padded to one.
std::string buffers_body(const Node& node, const Case& c) {
  const Problem& p = c.problem;
  const bool dynamic = c.cache->kind == CacheKind::dynamic, ring = c.cache->kind == CacheKind::ring;
  const int64_t size = dynamic ? 0 : c.cache->capacity;
  std::string body(kFlat);
  body +=
      fmt::format(R"(    past = [np.zeros(({}, {}, {}, {}), {})] * 2
    tokens = np.zeros({}, np.int64)
    for op, *given in steps:
        out = None
        if op == "reorder":
            past, tokens = [x[given[0]] for x in past], tokens[given[0]]
        elif op in ("crop", "reset"):
            tokens = np.minimum(tokens, given[0])
)",
                  p.batch, p.num_kv_heads, size, p.head_dim, python::numpy_type(p.dtype), p.batch);
  if (dynamic) body += "            past = [x[:, :, :given[0]] for x in past]\n";
  body += R"(        else:
            q, k, v, lens = given
            new, real = q.shape[2], np.array(lens)
            total = tokens + real
            ragged = (real != new).any() or (new > 1 and len(real) > 1 and tokens.any())
            bound = (tokens + new).max() if ragged else total.max()
)";
  body += attend_text(node, p) + "            tokens = total\n";
  return body + fmt::format("        yield out, {}.tolist()\n",
                            ring ? fmt::format("np.minimum(tokens, {})", size) : "tokens");
}

}  // namespace

Repro onnxruntime_repro(const Case& c, const TargetInfo& target) {
  for (const Operator& each : kOperators) {
    if (each.target != repro::plain_name(target.name)) continue;
    const Node node = each.node(c);
    PythonCall call{.standard = "",
                    .imports = "import onnxruntime as ort\n\n",
                    .helpers = "",
                    .body = "",
                    .needs = "onnxruntime"};
    if (!c.cached()) {
      call_once(node, c.problem, call);
      return python_repro(c, target, call);
    }
    call.standard = "import struct\n";
    call.helpers = kModel;
    call.body = node.op == "GroupQueryAttention" ? buffers_body(node, c) : growing_body(node, c);
    return python_steps_repro(c, target, call);
  }
  return {};
}

}  // namespace attnfuzz
