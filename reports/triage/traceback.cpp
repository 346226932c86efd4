#include <algorithm>
#include <array>

#include "fuzz/error_text.h"
#include "reports/text.h"
#include "reports/triage/grammar.h"
#include "reports/triage/triage.h"

namespace attnfuzz::triage {
namespace {

constexpr size_t kMostText = 262144;
constexpr size_t kMostMessage = 2000;

bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}
bool is_word(char x) {
  return is_letter(x) || (x >= '0' && x <= '9') || x == '.';
}

/// What terminals and loggers put around a line.
constexpr std::string_view kDecorations[] = {"│", "╭", "╰", "─", "╮", "╯", "❱", "┃"};

std::string without(std::string line, std::string_view what) {
  for (size_t at = line.find(what); at != line.npos; at = line.find(what, at))
    line.replace(at, what.size(), " ");
  return line;
}

std::string trimmed(std::string_view line) {
  const size_t from = line.find_first_not_of(" \t>"), to = line.find_last_not_of(" \t");
  return from == line.npos ? "" : std::string(line.substr(from, to - from + 1));
}

/// "[rank3]: x", "E   x" and the like, down to x.
std::string undecorated(std::string line) {
  for (const std::string_view each : kDecorations) line = without(std::move(line), each);
  line = trimmed(line);
  if (line.starts_with("[rank"))
    if (const size_t end = line.find("]:"); end != line.npos) line = trimmed(line.substr(end + 2));
  if (line.starts_with("E  ")) line = trimmed(line.substr(1));
  return line;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(undecorated(std::string(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// "torch.cuda.OutOfMemoryError" of "torch.cuda.OutOfMemoryError: …": a dotted name that ends like
/// an exception, before a colon. Anywhere in the line, the last one.
std::string error_name(const std::string& line, size_t& behind) {
  static constexpr std::string_view endings[] = {"Error", "Exception",      "InvalidArgument",
                                                 "Fail",  "OutOfResources", "InvalidGraph"};
  const auto is_end = [&](size_t k) {
    return line[k] == ':' ? line[k + 1] == ' '
                          : line[k] == '(' && (line[k + 1] == '\'' || line[k + 1] == '"');
  };
  for (size_t colon = line.size() < 2 ? 0 : line.size() - 2; colon > 0; --colon) {
    if (!is_end(colon)) continue;
    size_t from = colon;
    while (from > 0 && is_word(line[from - 1])) --from;
    std::string name = line.substr(from, colon - from);
    const bool known = std::any_of(std::begin(endings), std::end(endings),
                                   [&](std::string_view end) { return name.ends_with(end); });
    if (known && !name.empty() && is_letter(name[0])) {
      behind = colon + 2;
      return name;
    }
  }
  return "";
}

/// A line after the message that is no part of it.
bool ends_message(const std::string& line) {
  static constexpr std::string_view starts[] = {
      "File \"",         "Traceback",           "frame #", "Exception raised",
      "During handling", "The above exception", "```"};
  return line.empty() ||
         std::any_of(std::begin(starts), std::end(starts),
                     [&](std::string_view start) { return line.starts_with(start); });
}

struct PackageWord {
  std::string_view word, package;
};
/// The first that the text contains; what calls PyTorch comes before PyTorch.
constexpr PackageWord kPackages[] = {
    {"x_transformers", "x-transformers"},
    {"[ONNXRuntimeError]", "onnxruntime"},
    {"onnxruntime", "onnxruntime"},
    {"/fla/", "fla"},
    {"keras/", "keras"},
    {"llamafactory", "llamafactory"},
    {"packages/transformers/", "transformers"},
    {"transformers/models/", "transformers"},
    {"jax/", "jax"},
    {"dot_general", "jax"},
    {"for broadcasting", "jax"},
    {"block_mask was created", "torch-flex"},
    {"x-transformers", "x-transformers"},
    {"tensorrt_llm", "tensorrt_llm"},
    {"TensorRT-LLM", "tensorrt_llm"},
    {"sglang", "sglang"},
    {"vllm", "vllm"},
    {"flashinfer", "flashinfer"},
    {"flash_attn", "flash-attn"},
    {"xformers", "xformers"},
    {"diffusers", "diffusers"},
    {"paddle", "paddle"},
    {"tensorflow", "tensorflow"},
    {"openvino", "openvino"},
    {"ov::Exception", "openvino"},
    {"GGML_ASSERT", "ggml"},
    {"ggml", "ggml"},
    {"mlx", "mlx"},
    {"candle", "candle"},
    {"tinygrad", "tinygrad"},
    {"transformers", "transformers"},
    {"torch", "torch"},
    {"size of tensor", "torch"},
    {"Sizes of tensors", "torch"},
};

std::string package_of(std::string_view text) {
  for (const PackageWord& row : kPackages)
    if (text.find(row.word) != text.npos) return std::string(row.package);
  return "";
}

/// Words that lines which say what went wrong have, in lower case.
constexpr std::string_view kComplaints[] = {
    "mismatch",  "incompatible", "must ",        "cannot ",      "could not",   "failed",
    "invalid",   "expected",     "should ",      "exceed",       "unsupported", "supported",
    "not match", "n't match",    "panicked",     "assert",       "error",       "inconsistent",
    "not equal", "too long",     "greater than", "out of range", "larger than", "out of bound",
    "different", "wrong",        "overflow"};

/// How much a line is like an error's message.
int complaint(const std::string& line) {
  std::string lower = line;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char x) { return x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x; });
  const bool complains =
      std::any_of(std::begin(kComplaints), std::end(kComplaints),
                  [&](std::string_view word) { return lower.find(word) != lower.npos; });
  const std::vector<Mention> mentions = mentions_in(line);
  const bool shapes = std::any_of(mentions.begin(), mentions.end(), [](const Mention& each) {
    return each.kind == Mention::Kind::shape;
  });
  return (complains ? 4 : 0) + (shapes ? 2 : !mentions.empty() ? 1 : 0);
}

/// Where no line names an error: the line that complains most, the last of them.
void find_message(Traceback& read) {
  int most = 4;
  size_t best = read.lines.size();
  for (size_t k = 0; k < read.lines.size(); ++k)
    if (const int here = complaint(read.lines[k]); here >= most) {
      most = here;
      best = k;
    }
  read.message_begin = best == read.lines.size() ? 0 : best;
  read.message_end = best == read.lines.size() ? best : best + 1;
  while (read.message_end < read.lines.size() && !ends_message(read.lines[read.message_end]))
    ++read.message_end;
}

std::string joined(const std::vector<std::string>& lines, size_t from, size_t to) {
  std::string all;
  for (size_t k = from; k < to; ++k) {
    if (!all.empty() && !lines[k].empty()) all += ' ';
    all += lines[k];
  }
  return all;
}

}  // namespace

Traceback read_traceback(std::string_view raw) {
  Traceback read;
  read.lines = split_lines(text::clean(raw, kMostText));
  read.whole = joined(read.lines, 0, read.lines.size());
  read.package = package_of(read.whole);
  for (size_t k = read.lines.size(); k-- > 0;) {
    size_t behind = 0;
    read.error = error_name(read.lines[k], behind);
    if (read.error.empty()) continue;
    size_t end = k + 1;
    while (end < read.lines.size() && !ends_message(read.lines[end])) ++end;
    read.message = read.lines[k].substr(behind) + " " + joined(read.lines, k + 1, end);
    read.message_begin = k;
    read.message_end = end;
    break;
  }
  if (read.error.empty()) {
    find_message(read);
    read.message = joined(read.lines, read.message_begin, read.message_end);
  }
  if (read.message.size() > kMostMessage) read.message.resize(kMostMessage);
  read.message = text::line(read.message, kMostMessage);
  return read;
}

std::string text_template(std::string_view raw) {
  const std::string text = text::line(dedup_text(raw), kMostMessage);
  std::string out;
  size_t from = 0;
  for (const TextNumber& number : numbers_in(text)) {
    if (number.role == TextNumber::Role::constant) continue;
    out += text.substr(from, number.offset - from) + "{}";
    from = number.offset + number.length;
  }
  out += text.substr(from);
  for (const std::string_view wrapped : {"tensor({})", "np.int64({})"})
    for (size_t at = out.find(wrapped); at != out.npos; at = out.find(wrapped, at))
      out.replace(at, wrapped.size(), "{}");
  std::transform(out.begin(), out.end(), out.begin(), [](char x) {
    return x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x;
  });
  return out;
}

}  // namespace attnfuzz::triage
