#include "reports/triage/code.h"

#include <algorithm>
#include <array>
#include <span>

#include "reports/triage/code_parser.h"
#include "reports/triage/letters.h"

namespace attnfuzz::triage {
namespace {

struct Function {
  std::string_view name;
  Form form;
};
constexpr Function kFunctions[] = {
    {"matmul", Form::matmul},
    {"bmm", Form::matmul},
    {"baddbmm", Form::matmul},
    {"dot", Form::matmul},
    {"dot_general", Form::matmul},
    {"batch_matmul", Form::matmul},
    {"BatchMatMul", Form::matmul},
    {"mul_mat", Form::matmul},
    {"ggml_mul_mat", Form::matmul},
    {"mm", Form::matmul},
    {"MatMul", Form::matmul},
    {"tensordot", Form::matmul},
    {"batch_dot", Form::matmul},
    {"einsum", Form::einsum},
    {"cat", Form::concat},
    {"concat", Form::concat},
    {"concatenate", Form::concat},
    {"Concat", Form::concat},
    {"hstack", Form::concat},
    {"stack", Form::concat},
    {"ggml_concat", Form::concat},
    {"where", Form::elementwise},
    {"masked_fill", Form::elementwise},
    {"masked_fill_", Form::elementwise},
    {"where_cond", Form::elementwise},
    {"add", Form::elementwise},
    {"multiply", Form::elementwise},
    {"mul", Form::elementwise},
    {"broadcast_add", Form::elementwise},
    {"broadcast_mul", Form::elementwise},
    {"ggml_add", Form::elementwise},
    {"ggml_mul", Form::elementwise},
    {"sub", Form::elementwise},
    {"add_", Form::elementwise},
    {"select", Form::elementwise},
    {"select_n", Form::elementwise},
    {"logical_and", Form::elementwise},
    {"maximum", Form::elementwise},
    {"minimum", Form::elementwise},
    {"view", Form::view},
    {"reshape", Form::view},
    {"Reshape", Form::view},
    {"unflatten", Form::view},
    {"rearrange", Form::view},
    {"reshape_", Form::view},
    {"expand", Form::expand},
    {"broadcast_to", Form::expand},
    {"broadcast_as", Form::expand},
    {"repeat", Form::expand},
    {"tile", Form::expand},
    {"copy_", Form::copy},
    {"index_copy_", Form::copy},
    {"index_copy", Form::copy},
    {"slice_update", Form::copy},
    {"dynamic_update_slice", Form::copy},
    {"scatter_", Form::copy},
    {"slice_assign", Form::copy},
    {"slice_set", Form::copy},
    {"copyto", Form::copy},
    {"assign", Form::copy},
};

/// Methods that give their object in another form.
constexpr std::string_view kSame[] = {"contiguous",
                                      "transpose",
                                      "permute",
                                      "float",
                                      "to",
                                      "half",
                                      "type",
                                      "type_as",
                                      "masked_fill",
                                      "unsqueeze",
                                      "squeeze",
                                      "astype",
                                      "view",
                                      "reshape",
                                      "flatten",
                                      "unflatten",
                                      "swapaxes",
                                      "clone",
                                      "detach",
                                      "t",
                                      "T",
                                      "expand",
                                      "expand_as",
                                      "repeat",
                                      "transposed",
                                      "cast",
                                      "repeat_interleave",
                                      "bool",
                                      "chunk",
                                      "split",
                                      "broadcast_to",
                                      "narrow",
                                      "slice",
                                      "copy_",
                                      "softmax",
                                      "size",
                                      "shape",
                                      "index_select",
                                      "mT"};
/// Functions whose first argument is the tensor, in another form.
constexpr std::string_view kThrough[] = {
    "transpose", "trans",     "permute",   "expand_dims",  "reshape", "repeat_kv",
    "swapaxes",  "rearrange", "unsqueeze", "moveaxis",     "repeat",  "broadcast_to",
    "cast",      "cont",      "ggml_cont", "ggml_permute", "softmax", "dropout",
    "astype",    "tile",      "stack",     "squeeze",      "array",   "asarray"};

bool is_one_of(std::string_view word, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// The name that an operand goes by: through transposes, slices, casts.
Operand operand_of(const Node& node) {
  using K = Node::Kind;
  if (node.kind == K::name) {
    const size_t self = node.text.starts_with("self.") ? 5 : 0;
    std::string name = node.text.substr(self);
    RoleGuess last = role_of(name);
    for (const std::string_view end : {".T", ".mT", ".shape"})
      if (name.ends_with(end)) name.resize(name.size() - end.size());
    return {last, name};
  }
  if (node.kind == K::index || node.kind == K::keyword) return operand_of(node.parts[0]);
  if (node.kind == K::call) {
    const bool same = node.is_method && is_one_of(node.text, kSame);
    if (same && !node.parts.empty()) {
      const Operand object = operand_of(node.parts[0]);
      if (object.role.strength > 0 || !is_one_of(node.text, kThrough) || node.parts.size() < 2)
        return object;
    }
    for (const Node& part : node.parts)
      if (is_one_of(node.text, kThrough) && part.kind != K::number && part.kind != K::string) {
        const Operand inner = operand_of(part);
        if (inner.role.strength > 0 || !node.is_method) return inner;
      }
    Operand named{role_of(node.text), node.text};
    for (const Node& part : node.parts) {
      const Operand inner = operand_of(part);
      if (inner.role.strength > named.role.strength) named = inner;
    }
    return named;
  }
  if (node.kind == K::binary) {
    // Scaled by a number or a name of no tensor: the other is meant.
    Operand left = operand_of(node.parts[0]), right = operand_of(node.parts[1]);
    return right.role.strength > left.role.strength ? right : left;
  }
  if (node.kind == K::list)
    for (const Node& part : node.parts)
      if (Operand inner = operand_of(part); inner.role.strength > 0) return inner;
  return {};
}

bool is_tensor(const Node& node) {
  using K = Node::Kind;
  if (node.kind == K::number || node.kind == K::string) return false;
  if (node.kind == K::binary) return is_tensor(node.parts[0]) || is_tensor(node.parts[1]);
  if (node.kind == K::name) {
    static constexpr std::string_view scalars[] = {
        "scale",       "scaling", "scale_factor", "dtype", "dim",   "axis", "sqrt",
        "temperature", "inf",     "None",         "True",  "False", "eps"};
    const size_t dot = node.text.rfind('.');
    return !is_one_of(dot == node.text.npos ? std::string_view(node.text)
                                            : std::string_view(node.text).substr(dot + 1),
                      scalars);
  }
  if (node.kind == K::call) {
    static constexpr std::string_view scalars[] = {"sqrt", "finfo", "float", "size",
                                                   "len",  "rsqrt", "int",   "rpow"};
    return !(is_one_of(node.text, scalars) && !(node.is_method && node.text == "float"));
  }
  return true;
}

std::string words_of_node(const Node& node) {
  using K = Node::Kind;
  if (node.kind == K::name || node.kind == K::number || node.kind == K::string) return node.text;
  if (node.kind == K::binary)
    return words_of_node(node.parts[0]) + node.text + words_of_node(node.parts[1]);
  std::string all = node.text;
  for (const Node& part : node.parts) all += " " + words_of_node(part);
  return all;
}

/// The axis of an entry of a view: a name, a product of names.
AxisGuess axis_of_node(const Node& node) {
  using K = Node::Kind;
  if (node.kind == K::name) {
    const size_t dot = node.text.rfind('.');
    return axis_of(dot == node.text.npos ? std::string_view(node.text)
                                         : std::string_view(node.text).substr(dot + 1));
  }
  if (node.kind == K::keyword) return axis_of_node(node.parts[0]);
  if (node.kind == K::binary && node.text == "*") {
    const AxisGuess left = axis_of_node(node.parts[0]), right = axis_of_node(node.parts[1]);
    const auto both = [&](Axis one, Axis other) {
      return (left.axis == one && right.axis == other) || (left.axis == other && right.axis == one);
    };
    const double strength = std::min(left.strength, right.strength);
    if (both(Axis::batch, Axis::num_heads)) return {Axis::batch_heads, std::max(.8, strength)};
    if (both(Axis::batch, Axis::num_kv_heads))
      return {Axis::batch_kv_heads, std::max(.8, strength)};
    if (both(Axis::num_heads, Axis::head_dim) || both(Axis::num_heads, Axis::head_dim_v))
      return {Axis::q_hidden, std::max(.8, strength)};
    if (both(Axis::num_kv_heads, Axis::head_dim)) return {Axis::kv_hidden, std::max(.8, strength)};
    if (both(Axis::batch, Axis::q_len)) return {Axis::tokens, std::max(.7, strength)};
    if (both(Axis::batch, Axis::kv_len)) return {Axis::kv_tokens, std::max(.7, strength)};
    if (node.parts[0].kind == K::number)
      return node.parts[0].text == "3" && right.axis == Axis::head_dim
                 ? AxisGuess{Axis::packed_head, .8}
                 : AxisGuess{};
  }
  if (node.kind == K::binary && (node.text == "//" || node.text == "/")) {
    const AxisGuess left = axis_of_node(node.parts[0]), right = axis_of_node(node.parts[1]);
    if (left.axis == Axis::hidden && is_heads(right.axis)) return {Axis::head_dim, .8};
    if (left.axis == Axis::num_heads && right.axis == Axis::num_kv_heads) return {Axis::group, .8};
    if (left.axis != Axis::num_heads && is_heads(right.axis)) return {Axis::head_dim, .7};
    return {};
  }
  if (node.kind == K::call && node.text == "size") return {};
  return {};
}

class Collector {
 public:
  std::vector<CodeOp> ops;

  void visit(const Node& node) {
    using K = Node::Kind;
    if (node.kind == K::binary) visit_binary(node);
    if (node.kind == K::call) visit_call(node);
    for (const Node& part : node.parts) visit(part);
  }

 private:
  void visit_binary(const Node& node) {
    const Node &left = node.parts[0], &right = node.parts[1];
    if (node.text == "=" && left.kind == Node::Kind::index) add(Form::copy, {&left, &right});
    if (node.text == "@") add(Form::matmul, {&left, &right});
    static constexpr std::string_view elementwise[] = {"+", "-",  "*",  "/", "&",
                                                       "|", "+=", "*=", "-="};
    if (is_one_of(node.text, elementwise) && is_tensor(left) && is_tensor(right))
      add(Form::elementwise, {&left, &right});
  }

  void visit_call(const Node& node) {
    for (const Function& row : kFunctions)
      if (row.name == node.text) return add_call(row.form, node);
    const std::vector<std::string> words = words_of(node.text);
    const bool attends = std::find(words.begin(), words.end(), "attention") != words.end() ||
                         std::find(words.begin(), words.end(), "attn") != words.end();
    if (attends && !node.parts.empty()) add_call(Form::unknown, node);
  }

  void add_call(Form form, const Node& node) {
    std::vector<const Node*> operands;
    std::vector<const Node*> words;
    CodeOp op;
    op.form = form;
    for (size_t k = 0; k < node.parts.size(); ++k) {
      const Node& part = node.parts[k];
      const bool object = node.is_method && k == 0;
      const bool module = object && is_module(part);
      if (module) continue;
      if (part.kind == Node::Kind::string)
        op.pattern = part.text;
      else if (part.kind == Node::Kind::list && (form == Form::concat))
        for (const Node& each : part.parts) operands.push_back(&each);
      else if (part.kind == Node::Kind::list && (form == Form::view || form == Form::expand))
        for (const Node& each : part.parts) words.push_back(&each);
      else if ((form == Form::view || form == Form::expand) &&
               (!operands.empty() || (node.is_method && !object)))
        words.push_back(&part);
      else if (is_tensor(part))
        operands.push_back(&part);
    }
    std::vector<std::string> names;
    for (const Node* each : words) {
      op.axes.push_back(axis_of_node(*each));
      op.axis_words.push_back(words_of_node(*each));
      names.push_back(each->kind == Node::Kind::name ? each->text : "");
    }
    const std::vector<AxisGuess> letters = axes_of_names(names);
    for (size_t k = 0; k < names.size(); ++k)
      if (letters[k].strength > op.axes[k].strength && names[k].size() <= 2)
        op.axes[k] = letters[k];
    keep_each_once(op.axes, names);
    for (const Node* each : operands) op.operands.push_back(operand_of(*each));
    ops.push_back(std::move(op));
  }

  static bool is_module(const Node& node) {
    static constexpr std::string_view modules[] = {"torch",
                                                   "np",
                                                   "numpy",
                                                   "jnp",
                                                   "tf",
                                                   "mx",
                                                   "F",
                                                   "nn",
                                                   "jax",
                                                   "jax.numpy",
                                                   "torch.nn.functional",
                                                   "nn.functional",
                                                   "tl",
                                                   "paddle",
                                                   "ops",
                                                   "K",
                                                   "mindspore",
                                                   "tf.math",
                                                   "xops",
                                                   "xformers.ops",
                                                   "lax",
                                                   "jax.lax",
                                                   "jax.nn",
                                                   "Tensor",
                                                   "self",
                                                   "math",
                                                   "einops",
                                                   "keras.ops",
                                                   "candle_nn",
                                                   "tf.linalg",
                                                   "T",
                                                   "P"};
    return node.kind == Node::Kind::name && is_one_of(node.text, modules);
  }

  void add(Form form, std::initializer_list<const Node*> operands) {
    CodeOp op;
    op.form = form;
    for (const Node* each : operands) op.operands.push_back(operand_of(*each));
    ops.push_back(std::move(op));
  }
};

constexpr std::array<std::string_view, static_cast<size_t>(Form::count)> kFormNames = {
    "unknown", "elementwise", "matmul", "concatenation", "expand", "reshape",
    "check",   "copy",        "limit",  "divisibility",  "index",  "einsum"};

}  // namespace

std::string_view name_of(Form form) {
  return kFormNames[static_cast<size_t>(form)];
}

std::vector<CodeOp> operations_in(std::string_view line) {
  constexpr size_t longest = 600;
  line = line.substr(0, longest);
  Collector collector;
  for (const Node& node : expressions_in(line)) collector.visit(node);
  return std::move(collector.ops);
}

std::vector<AxisGuess> axes_in_brackets(std::string_view text) {
  for (size_t open = text.find_first_of("[("); open != text.npos;
       open = text.find_first_of("[(", open + 1)) {
    const size_t close = text.find(text[open] == '[' ? ']' : ')', open);
    if (close == text.npos) return {};
    const std::vector<Node> nodes = expressions_in(text.substr(open, close + 1 - open));
    if (nodes.empty() || nodes[0].kind != Node::Kind::list || nodes[0].parts.size() < 2) continue;
    const Node* node = &nodes[0];
    std::vector<AxisGuess> axes;
    size_t known = 0;
    for (const Node& part : node->parts) {
      axes.push_back(axis_of_node(part));
      known += axes.back().strength > .6;
    }
    if (known * 2 >= axes.size() && known > 0) return axes;
  }
  return {};
}

}  // namespace attnfuzz::triage
