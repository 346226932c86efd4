#include "reports/triage/calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "reports/text.h"
#include "reports/text_file.h"
#include "targets/remote.h"

namespace attnfuzz::triage {
namespace {

using Sizes = std::vector<int64_t>;

/// What a form is in a package: {a} and {b} are the tensors, {dim} the dimension, {shape} the
/// second shape.
struct Expression {
  std::string_view form, package, code;
  std::string_view words = {};  ///< that the message must have, in lower case; empty: any
};
constexpr Expression kExpressions[] = {
    {"elementwise", "torch", "{a}.clone().add_({b})", "output with shape"},
    {"elementwise", "torch", "{a} + {b}"},
    {"elementwise", "numpy", "{a} + {b}"},
    {"expand", "torch", "{b}.expand({shape})"},
    {"expand", "numpy", "np.broadcast_to({b}, {shape})"},
    {"concatenation", "torch", "torch.cat([{a}, {b}], dim={dim})"},
    {"concatenation", "torch", "torch.stack([{a}, {b}])", "stack"},
    {"concatenation", "numpy", "np.concatenate([{a}, {b}], axis={dim})"},
    {"copy", "torch", "{a}.clone().copy_({b})"},
    {"copy", "torch", "{b}.expand({shape})"},
    {"copy", "numpy", "np.array({a})[...] = {b}"},
    {"matmul", "torch", "{a} @ {b}"},
    {"matmul", "torch", "torch.bmm({a}, {b})", "batch2"},
    {"matmul", "numpy", "{a} @ {b}"},
    {"reshape", "torch", "{a}.view({shape})"},
    {"reshape", "numpy", "{a}.reshape({shape})"},
    {"check", "torch", "torch.bmm({a}, {b})", "batch2"},
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
  std::string code = replaced(replaced(std::string(row.code), "{a}", one), "{b}", two);
  code = replaced(code, "{dim}", std::to_string(reading.dim.value_or(0)));
  code = replaced(code, "{shape}", tuple(row.form == "reshape" ? b : a));
  const std::string import = torch ? "import torch" : "import numpy as np",
                    version = torch ? "torch.__version__" : "np.__version__";
  std::string text = import + "\n\nprint(" + version + ")\n" + one + " = " + made(a) + "\n";
  if (row.code.find("{b}") != row.code.npos) text += two + " = " + made(b) + "\n";
  return {std::string(row.package),
          fmt::format("{} with {} {} and {} {}", code, one, tuple(a), two, tuple(b)),
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

std::vector<Call> calls_for(const Reading& reading) {
  std::vector<Call> calls;
  if (reading.numbers.empty() || reading.sureness == Sureness::none) return calls;
  const std::string message = lowered(reading.traceback.message);
  for (const auto& [a, b] : operands(reading)) {
    const bool possible = std::all_of(a.begin(), a.end(), [](int64_t size) { return size >= 0; });
    for (const Expression& row : kExpressions) {
      const bool product = reading.form == "matmul" && row.form == "elementwise" &&
                           message.find("size of tensor") != message.npos;
      const bool fits = row.form == reading.form || product;
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
  out += found != nullptr ? "The text was found again by the call below: its operation and shapes "
                            "are those that were read. Which line of the "
                            "package makes this call is not shown by it.\n\n"
                          : "**This text was not found again.** What follows is a reading of it, "
                            "nothing that was measured.\n\n";
  out += text::markdown_block(text::clean(error + reading.traceback.message, 2000), "text");
  out += fmt::format("\n## Reading ({})\n\n| number | axis | whose |\n|---|---|---|\n",
                     name_of(reading.sureness));
  for (const NumberAxis& number : reading.numbers)
    out += fmt::format("| {} | {} | {} |\n", number.value,
                       number.axis.empty() ? "not told" : text::markdown(number.axis),
                       text::markdown(number.of));
  out +=
      fmt::format("\n## Likely mistake\n\n{}\n",
                  reading.cause ? text::markdown(text::clean(reading.cause->words)) : "Not known.");
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
