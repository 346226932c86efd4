#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "oracle/error.h"
#include "reports/triage/letters.h"
#include "reports/triage/triage.h"

namespace attnfuzz::triage {
namespace {

struct Alias {
  std::string_view word, tensor;
};

/// The axes of a tensor with this layout, or of one whose axes do not depend on it.
struct TensorAxes {
  std::string_view tensor, layout;
  std::vector<std::string_view> axes;
};
const std::vector<TensorAxes>& tensor_axes() {
  static const std::vector<TensorAxes> table = {
      {"q", "bhsd", {"batch", "num_heads", "q_len", "head_dim"}},
      {"q", "bshd", {"batch", "q_len", "num_heads", "head_dim"}},
      {"q", "bsd", {"batch", "q_len", "hidden"}},
      {"q", "nsd", {"batch*num_heads", "q_len", "head_dim"}},
      {"k", "bhsd", {"batch", "num_kv_heads", "kv_len", "head_dim"}},
      {"k", "bshd", {"batch", "kv_len", "num_kv_heads", "head_dim"}},
      {"k", "bsd", {"batch", "kv_len", "kv_hidden"}},
      {"k", "nsd", {"batch*num_kv_heads", "kv_len", "head_dim"}},
      {"v", "bhsd", {"batch", "num_kv_heads", "kv_len", "head_dim_v"}},
      {"v", "bshd", {"batch", "kv_len", "num_kv_heads", "head_dim_v"}},
      {"v", "bsd", {"batch", "kv_len", "kv_hidden"}},
      {"v", "nsd", {"batch*num_kv_heads", "kv_len", "head_dim_v"}},
      {"past", "", {"batch", "num_kv_heads", "past_len", "head_dim"}},
      {"scores", "", {"batch", "num_heads", "q_len", "kv_len"}},
      {"scores", "", {"batch*num_heads", "q_len", "kv_len"}},
      {"mask", "", {"batch", "num_heads", "q_len", "kv_len"}},
      {"mask", "", {"batch", "q_len", "kv_len"}},
      {"mask", "", {"q_len", "kv_len"}},
      {"mask", "", {"kv_len"}},
  };
  return table;
}

constexpr Alias kTensors[] = {{"query", "q"},        {"key", "k"},
                              {"value", "v"},        {"bias", "mask"},
                              {"attn_mask", "mask"}, {"attention_mask", "mask"},
                              {"energy", "scores"}};

InputError wrong_shapes(std::string_view item, const std::string& expected) {
  return {"--shapes " + std::string(item), "", expected};
}

Shape parse_dims(std::string_view item, std::string_view dims) {
  Shape shape;
  for (std::string_view rest = dims;;) {
    int64_t size = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
    if (error != std::errc{} || size < 0)
      throw wrong_shapes(item, "expected TENSOR=AxBxC, such as q=2x8x4x32");
    shape.push_back(size);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (rest.empty()) return shape;
    if (rest.front() != 'x')
      throw wrong_shapes(item, "expected sizes with x between them, such as 2x8x4x32");
    rest.remove_prefix(1);
  }
}

bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}
bool is_digit(char x) {
  return x >= '0' && x <= '9';
}

/// The identifiers that end at `at`, separated by commas, in order.
std::vector<std::string_view> words_before(std::string_view text, size_t at) {
  std::vector<std::string_view> words;
  while (true) {
    while (at > 0 && text[at - 1] == ' ') --at;
    size_t from = at;
    while (from > 0 && (is_letter(text[from - 1]) || is_digit(text[from - 1]))) --from;
    if (from == at || !is_letter(text[from])) return words;
    words.insert(words.begin(), text.substr(from, at - from));
    at = from;
    while (at > 0 && text[at - 1] == ' ') --at;
    if (at == 0 || text[at - 1] != ',') return words;
    --at;
  }
}

/// The whole numbers that begin at `at`, separated by commas.
std::vector<int64_t> numbers_after(std::string_view text, size_t at) {
  std::vector<int64_t> numbers;
  while (true) {
    while (at < text.size() && text[at] == ' ') ++at;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (error != std::errc{} || value < 0) return numbers;
    at = static_cast<size_t>(end - text.data());
    if (at < text.size() && (is_letter(text[at]) ||
                             (text[at] == '.' && at + 1 < text.size() && is_digit(text[at + 1]))))
      return numbers;
    numbers.push_back(value);
    while (at < text.size() && text[at] == ' ') ++at;
    if (at == text.size() || text[at] != ',') return numbers;
    ++at;
  }
}

}  // namespace

std::vector<KnownSize> parse_shapes(std::string_view text, std::string_view layout) {
  std::vector<KnownSize> known;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(",; "), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    if (equals == item.npos) throw wrong_shapes(item, "expected TENSOR=AxBxC, such as q=2x8x4x32");
    std::string_view tensor = item.substr(0, equals);
    for (const Alias& alias : kTensors)
      if (alias.word == tensor) tensor = alias.tensor;
    const Shape shape = parse_dims(item, item.substr(equals + 1));
    const std::string_view wanted = shape.size() == 3 && layout == "bhsd" ? "bsd" : layout;
    const TensorAxes* axes = nullptr;
    for (const TensorAxes& row : tensor_axes())
      if (row.tensor == tensor && row.axes.size() == shape.size() &&
          (row.layout.empty() || row.layout == wanted))
        axes = &row;
    if (axes == nullptr)
      throw wrong_shapes(item,
                         fmt::format("expected one of q, k, v, past, scores, mask with as many "
                                     "axes as it has in the layout {}",
                                     layout));
    const std::string of = tensor == "mask" ? "mask" : "";
    for (size_t k = 0; k < shape.size(); ++k)
      known.push_back({std::string(axes->axes[k]), of, shape[k]});
  }
  return known;
}

std::vector<KnownSize> sizes_in(std::string_view text) {
  std::vector<KnownSize> known;
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] != '=' && text[at] != ':') continue;
    const std::vector<std::string_view> words = words_before(text, at);
    const std::vector<int64_t> numbers = numbers_after(text, at + 1);
    if (words.size() < 2 || words.size() > numbers.size()) continue;
    const std::vector<AxisGuess> axes =
        axes_of_names(std::vector<std::string>(words.begin(), words.end()));
    for (size_t k = 0; k < words.size(); ++k)
      if (axes[k].axis != Axis::none)
        known.push_back({std::string(name_of(axes[k].axis)), "", numbers[k]});
  }
  return known;
}

}  // namespace attnfuzz::triage
