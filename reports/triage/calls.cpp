#include "reports/triage/calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>

#include "reports/text.h"
#include "reports/text_file.h"
#include "reports/triage/write.h"
#include "targets/remote.h"

namespace attnfuzz::python {
extern const std::string_view strict_py;
}

namespace attnfuzz::triage {
namespace {

using Sizes = std::vector<int64_t>;

/// What a form is in a package. In `code`, {a} and {b} are the tensors, {A} and {B} their shapes,
/// {all} the shapes of all tensors of the text, {name} the parameter that it names, {dim} the
/// dimension.
struct Expression {
  std::string_view forms;  ///< of readings, separated by spaces
  std::string_view package, code;
  std::string_view words = {};  ///< that the message must have, in lower case; empty: any
};
/// "strict" is attnfuzz's own: strict.py.
constexpr Expression kExpressions[] = {
    {"elementwise", "torch", "{a}.clone().add_({b})", "output with shape"},
    {"elementwise matmul", "torch", "{a} + {b}", "size of tensor"},
    {"copy concatenation check", "torch", "{a} + {b}", "size of tensor"},
    {"elementwise", "numpy", "{a} + {b}", "could not be broadcast together"},
    {"expand copy elementwise", "torch", "{b}.expand({A})", "expanded size"},
    {"expand", "numpy", "np.broadcast_to({b}, {A})"},
    {"concatenation", "torch", "torch.cat([{a}, {b}], dim={dim})", "except in dimension"},
    {"concatenation", "torch", "torch.stack([{a}, {b}])", "stack"},
    {"concatenation", "numpy", "np.concatenate([{a}, {b}], axis={dim})", "concatenation axis"},
    {"copy", "torch", "{b}.clone()[torch.arange({b}.shape[0])] = {a}", "indexing result"},
    {"copy", "numpy", "np.zeros({B})[...] = np.zeros({A})", "input array from shape"},
    {"matmul", "torch", "{a} @ {b}"},
    {"matmul check", "torch", "torch.bmm({a}, {b})", "batch2"},
    {"matmul", "numpy", "{a} @ {b}", "core dimension"},
    {"reshape", "torch", "{a}.view({B})", "is invalid for input"},
    {"reshape", "numpy", "{a}.reshape({B})", "cannot reshape array"},
    {"check copy", "torch",
     "root = module = torch.nn.Module()\n"
     "*owners, last = \"{name}\".split(\".\")\n"
     "for each in owners:\n"
     "    module.add_module(each, torch.nn.Module())\n"
     "    module = module.get_submodule(each)\n"
     "module.register_parameter(last, torch.nn.Parameter(torch.empty({B}, device=\"meta\")))\n"
     "root.load_state_dict({\"{name}\": torch.empty({A}, device=\"meta\")})",
     "copying a param"},
    {"check", "torch",
     "x = torch.zeros({B}[0], 1, 4)\ntorch.nn.MultiheadAttention(4, 1)(x, x, x, "
     "attn_mask=torch.zeros({A}))",
     "2d attn_mask"},
    {"reshape", "onnxruntime",
     "shape = helper.make_tensor(\"shape\", TensorProto.INT64, [len({B})], {B})\n"
     "x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in \"xy\")\n"
     "node = helper.make_node(\"Reshape\", [\"x\", \"shape\"], [\"y\"])\n"
     "graph = helper.make_graph([node], \"g\", [x], [y], [shape])\n"
     "model = helper.make_model(graph, opset_imports=[helper.make_opsetid(\"\", 17)], "
     "ir_version=8)\n"
     "session = onnxruntime.InferenceSession(model.SerializeToString(), "
     "providers=[\"CPUExecutionProvider\"])\n"
     "session.run(None, {\"x\": np.zeros({A}, np.float32)})",
     "cannot be reshaped"},
    {"elementwise", "strict", "jax_where({all})", "shapes=["},
    {"elementwise", "strict", "jax_broadcast({A}, {B})", "incompatible shapes for broadcasting: ("},
    {"elementwise", "strict", "jax_add({A}, {B})", "add got incompatible"},
    {"reshape", "strict", "jax_reshape({A}, {B})", "(size "},
    {"reshape", "strict", "jax_reshape_plain({A}, {B})", "cannot reshape array of shape"},
    {"elementwise expand", "strict", "mlx_broadcast({A}, {B})", "cannot be broadcast"},
    {"matmul", "strict", "mlx_matmul({A}, {B})", "[matmul]"},
    {"concatenation", "strict", "mlx_concatenate({dim}, {all})", "[concatenate]"},
    {"elementwise", "strict", "tensorflow_add({A}, {B})", "incompatible shapes: ["},
    {"elementwise", "strict", "paddle_add({A}, {B})", "broadcast dimension mismatch"},
    {"elementwise", "strict", "candle_add({A}, {B})", "broadcast_add"},
    {"elementwise", "strict", "candle_where({A}, {B})", "where_cond"},
    {"matmul", "strict", "candle_matmul({A}, {B})", "shape mismatch in matmul"},
    {"expand elementwise", "strict", "candle_expand({A}, {B})", "cannot broadcast"},
    {"check elementwise matmul", "strict", "xformers_inputs({all})", "for attention inputs"},
    {"check elementwise", "strict", "xformers_bias({A}, {inputs})", "for attention bias"},
    {"check expand elementwise", "strict", "transformers_mask({A}, {B})", "mask should be of size"},
    {"check elementwise", "strict", "transformers_weights({A}, {B})", "weights should be of size"},
    {"reshape", "strict", "tinygrad_reshape({A}, {B})", "size mismatched, can't reshape"},
    {"check elementwise", "strict", "flex_mask({A}, {numbers})", "block_mask was created"},
};

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char x) { return x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x; });
  return out;
}

std::string replaced(std::string words, std::string_view what, std::string_view with) {
  for (size_t at = words.find(what); at != words.npos; at = words.find(what, at + with.size()))
    words.replace(at, what.size(), with);
  return words;
}

/// "(2, 8, 63)", "(4,)"
std::string tuple(const Sizes& sizes) {
  return fmt::format("({}{})", fmt::join(sizes, ", "), sizes.size() == 1 ? "," : "");
}

/// The operands' shapes: those of the text, or, where it has only two sizes and a dimension, the
/// smallest of so many axes as the dimension needs.
std::vector<std::pair<Sizes, Sizes>> operands(const Reading& reading) {
  std::vector<Sizes> shapes;
  for (const TensorRead& tensor : reading.tensors) shapes.push_back(tensor.sizes);
  if (reading.form == "reshape" && shapes.size() == 1 && reading.elements > 0)
    return {{Sizes{reading.elements}, shapes[0]}};
  if (shapes.size() == 1) return {{shapes[0], shapes[0]}};
  if (shapes.size() >= 2) {
    std::vector<std::pair<Sizes, Sizes>> all{{shapes[0], shapes[1]}};
    // "Expected size for first two dimensions of batch2 tensor to be: [16, 64] but got: [16, 32]"
    if (shapes[0].size() == 2 && shapes[1].size() == 2)
      all.push_back({{shapes[0][0], 3, shapes[0][1]}, {shapes[1][0], shapes[1][1], 5}});
    return all;
  }
  if (reading.numbers.size() < reading.context + 2 || !reading.dim || *reading.dim < 0 ||
      *reading.dim > 7)
    return {};
  std::vector<std::pair<Sizes, Sizes>> all;
  const auto dim = static_cast<size_t>(*reading.dim);
  for (const size_t rank : {std::max<size_t>(dim + 1, 4), dim + 1, dim + 2}) {
    Sizes a, b;
    static constexpr int64_t others[] = {2, 3, 5, 7, 11, 13, 17, 19, 23};
    for (size_t k = 0; k < rank; ++k) a.push_back(others[k]);
    b = a;
    const bool joined = reading.form == "concatenation";
    const size_t at = joined ? (dim == 0 ? 1 : 0) : dim;
    if (at >= rank) continue;
    a[at] = reading.numbers[reading.context].value;
    b[at] = reading.numbers[reading.context + 1].value;
    all.emplace_back(std::move(a), std::move(b));
  }
  return all;
}

std::string name_or(const std::string& role, std::string_view other) {
  std::string name = replaced(role, " ", "_");
  return name.empty() ? std::string(other) : name;
}

std::string all_of(std::span<const TensorRead> tensors) {
  std::string all;
  for (const TensorRead& tensor : tensors) all += (all.empty() ? "" : ", ") + tuple(tensor.sizes);
  return all;
}

/// The name behind "size mismatch for".
std::string parameter_of(const Reading& reading) {
  static constexpr std::string_view before = "size mismatch for ";
  const std::string& message = reading.traceback.message;
  const size_t at = message.find(before);
  if (at == message.npos) return "";
  const size_t from = at + before.size();
  return message.substr(from, message.find(':', from) - from);
}

/// The sizes that stand alone behind the shapes.
std::string numbers_alone(const Reading& reading) {
  size_t in_shapes = 0;
  for (const TensorRead& tensor : reading.tensors) in_shapes += tensor.sizes.size();
  std::string all;
  for (size_t k = reading.context + in_shapes; k < reading.numbers.size(); ++k)
    all += (all.empty() ? "" : ", ") + std::to_string(reading.numbers[k].value);
  return all;
}

struct Prelude {
  std::string_view package, imports, version;
};
constexpr Prelude kPreludes[] = {
    {"torch", "import torch", "torch.__version__"},
    {"numpy", "import numpy as np", "np.__version__"},
    {"onnxruntime", "import numpy as np\nimport onnxruntime\nfrom onnx import TensorProto, helper",
     "onnxruntime.__version__"},
    {"strict", "import attnfuzz_strict as strict", "strict.VERSION"},
};

Call program(const Reading& reading, const Expression& row, const Sizes& a, const Sizes& b) {
  std::string one = name_or(reading.a, "a"), two = name_or(reading.b, "b");
  if (one == two) {
    one += "_1";
    two += "_2";
  }
  const bool torch = row.package == "torch";
  // One element, seen as the whole shape: no memory is needed.
  const auto made = [&](const Sizes& shape) {
    return torch ? "torch.zeros(()).expand(" + tuple(shape) + ")"
                 : "np.broadcast_to(np.float32(0), " + tuple(shape) + ")";
  };
  const std::span<const TensorRead> tensors = reading.tensors;
  constexpr size_t inputs = 3;  // queries, keys and values stand last
  const std::pair<std::string_view, std::string> filled[] = {
      {"{a}", one},
      {"{b}", two},
      {"{A}", tuple(a)},
      {"{B}", tuple(b)},
      {"{all}", all_of(tensors)},
      {"{inputs}", all_of(tensors.last(std::min(inputs, tensors.size())))},
      {"{numbers}", numbers_alone(reading)},
      {"{name}", parameter_of(reading)},
      {"{dim}", std::to_string(reading.dim.value_or(0))}};
  std::string code(row.code);
  for (const auto& [place, text] : filled) code = replaced(code, place, text);
  if (row.package == "strict") code = "strict." + code;
  const Prelude& prelude =
      *std::find_if(std::begin(kPreludes), std::end(kPreludes),
                    [&](const Prelude& each) { return each.package == row.package; });
  std::string text = fmt::format("{}\n\nprint({})\n", prelude.imports, prelude.version);
  if (row.code.find("{a}") != row.code.npos) text += one + " = " + made(a) + "\n";
  if (row.code.find("{b}") != row.code.npos) text += two + " = " + made(b) + "\n";
  const std::string what = code.find('\n') == code.npos ? code
                           : row.package == "torch"     ? "a module of that parameter"
                                                        : "a model of one node";
  return {std::string(row.package),
          fmt::format("{} with {} {} and {} {}", what, one, tuple(a), two, tuple(b)),
          text + code + "\n"};
}

/// Without what differs from print to print: case and spaces.
std::string folded(std::string_view text) {
  std::string out;
  for (const char x : lowered(text))
    if (x != ' ' && x != '\n' && x != '\t' && x != '.') out += x;
  return out;
}

}  // namespace

std::string_view strict_program() {
  return python::strict_py;
}

std::vector<Call> calls_for(const Reading& reading) {
  std::vector<Call> calls;
  if (reading.numbers.empty() || reading.sureness == Sureness::none) return calls;
  const std::string message = lowered(reading.traceback.message);
  for (const auto& [a, b] : operands(reading)) {
    const bool possible = std::all_of(a.begin(), a.end(), [](int64_t size) { return size >= 0; });
    for (const Expression& row : kExpressions) {
      const bool fits =
          (" " + std::string(row.forms) + " ").find(" " + reading.form + " ") != std::string::npos;
      if (fits && possible && (row.words.empty() || message.find(row.words) != message.npos))
        calls.push_back(program(reading, row, a, b));
    }
  }
  return calls;
}

Called run_call(const Call& call, const Reading& reading) {
  Called called{call, "", "", false};
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("attnfuzz-call-{}", fmt::ptr(&called));
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = folder / "call.py";
  write_text(file, call.program);
  if (call.package == "strict")
    write_text(folder / "attnfuzz_strict.py", std::string(strict_program()));
  const std::string command = fmt::format(
      "timeout 120 {} {} 2>&1", text::shell(python_interpreter()), text::shell(file.string()));
  std::string printed;
  if (const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
      pipe != nullptr) {
    std::array<char, 4096> part{};
    while (const size_t got = fread(part.data(), 1, part.size(), pipe.get()))
      printed.append(part.data(), got);
  }
  std::filesystem::remove_all(folder);
  if (printed.find("ModuleNotFoundError") != std::string::npos) return called;
  const Traceback read = read_traceback(printed);
  called.version = text::line(printed.substr(0, printed.find('\n')), 60);
  if (!read.error.empty()) called.text = read.error + ": " + read.message;
  called.same =
      !reading.core.empty() && folded(called.text).find(folded(reading.core)) != std::string::npos;
  return called;
}

std::string called_text(const Called& called) {
  if (called.version.empty())
    return fmt::format("called     {}: not installed here\n", called.call.package);
  return fmt::format("called     {} {}: {}\n           {}\n", called.call.package, called.version,
                     called.call.what,
                     called.same ? "raises this text, with the same numbers"
                     : called.text.empty()
                         ? "raises nothing"
                         : "raises another text: " + text::line(called.text, 200));
}

std::string triage_issue(const Reading& reading, const Called* found) {
  const std::string error = reading.traceback.error.empty() ? "" : reading.traceback.error + ": ";
  std::string out = fmt::format("# {}\n\n", text::markdown(text::line(error + reading.core, 120)));
  const bool strict = found != nullptr && found->call.package == "strict";
  out +=
      strict
          ? "The text was found again by attnfuzz's own checks of shapes, which are worded as the "
            "framework's: the operation and the shapes that were read give it. The framework "
            "itself was not run.\n\n"
      : found != nullptr ? "The text was found again by the call below: its operation and shapes "
                           "are those that were read. Which line of the "
                           "package makes this call is not shown by it.\n\n"
                         : "**This text was not found again.** What follows is a reading of it, "
                           "nothing that was measured.\n\n";
  out += text::markdown_block(text::clean(error + reading.traceback.message, 2000), "text");
  out += fmt::format("\n## Reading ({})\n\n| number | axis | whose |\n|---|---|---|\n",
                     name_of(reading.sureness));
  for (const NumberAxis& number : numbers_told(reading))
    out += fmt::format("| {} | {} | {} |\n", number.value,
                       number.axis.empty() ? "not told" : text::markdown(number.axis),
                       text::markdown(number.of));
  out += fmt::format(
      "\n## Likely mistake\n\n{}\n",
      reading.cause ? text::markdown(text::clean(mistake_text(reading))) : "Not known.");
  if (found != nullptr)
    out += fmt::format("\n## Reproduction ({} {})\n\n{}\nIt says:\n\n{}",
                       text::markdown(found->call.package), text::markdown(found->version),
                       text::markdown_block(found->call.program, "python"),
                       text::markdown_block(text::clean(found->text, 2000), "text"));
  if (!reading.questions.empty()) out += "\n## To ask the reporter\n\n";
  for (const std::string& question : reading.questions)
    out += "- " + text::markdown(text::clean(question)) + "\n";
  return out;
}

}  // namespace attnfuzz::triage
