#include "reports/triage/grammar.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include "fuzz/error_text.h"

namespace attnfuzz::triage {
namespace {

using Kind = Mention::Kind;

bool is_digit(char x) {
  return x >= '0' && x <= '9';
}
bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}
bool is_word(char x) {
  return is_letter(x) || is_digit(x);
}
char at(std::string_view text, size_t k) {
  return k < text.size() ? text[k] : '\0';
}
size_t skip_spaces(std::string_view text, size_t k) {
  while (k < text.size() && (text[k] == ' ' || text[k] == '\n' || text[k] == '\t')) ++k;
  return k;
}

constexpr int64_t kUnknown = -1;  // None, ?, a symbol

std::optional<Size> integer(std::string_view text, size_t& k) {
  Size size;
  const char* first = text.data() + k;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), size.value);
  if (error != std::errc{}) return std::nullopt;
  size.offset = k;
  size.length = static_cast<size_t>(end - first);
  k += size.length;
  if (at(text, k) == 'L' && !is_word(at(text, k + 1))) ++k;
  if (at(text, k) == '.' && is_digit(at(text, k + 1))) return std::nullopt;
  return size;
}

/// One entry of a shape: a number, "heads=8", "np.int64(8)", "None", "?", "s0", "Dim(8)".
std::optional<Size> entry(std::string_view text, size_t& k) {
  k = skip_spaces(text, k);
  if (at(text, k) == '?' || at(text, k) == '*') return ++k, Size{kUnknown, k - 1, 1, ""};
  if (is_digit(at(text, k)) || (at(text, k) == '-' && is_digit(at(text, k + 1)))) {
    auto size = integer(text, k);
    return size && !is_letter(at(text, k))                      ? size
           : size && (at(text, k) == 'x' || at(text, k) == 'X') ? size
                                                                : std::nullopt;
  }
  if (!is_letter(at(text, k))) return std::nullopt;
  const size_t from = k;
  while (is_word(at(text, k)) || (at(text, k) == '.' && is_letter(at(text, k + 1)))) ++k;
  std::string name(text.substr(from, k - from));
  k = skip_spaces(text, k);
  const char next = at(text, k);
  if (next == '=' || next == ':' || next == '(' || next == '[') {
    k = skip_spaces(text, k + 1);
    auto size = integer(text, k);
    if (!size) return std::nullopt;
    if (next == '=' || next == ':') return size->name = name, size;
    if (at(text, k) != (next == '(' ? ')' : ']')) return std::nullopt;
    return ++k, size;
  }
  // "None", "s0", and the names of a code's own axes: "[B, 32, seq_len, 128]".
  return Size{kUnknown, from, k - from, name == "None" || name == "none" ? "" : name};
}

bool ends_with_word(std::string_view text, std::span<const std::string_view> words);

/// Whether the name that ends here is one of a shape: "TensorShape", "size".
bool is_shape_word(std::string_view text, size_t end) {
  size_t from = end;
  while (from > 0 && is_word(text[from - 1])) --from;
  const std::string_view name = text.substr(from, end - from);
  for (const std::string_view word : {"hape", "ize", "ims"})
    if (name.find(word) != name.npos) return true;
  return false;
}

/// "[2, 8, 4, 32]" from its bracket on; nothing if it is no list of sizes.
std::optional<Mention> bracketed(std::string_view text, size_t from) {
  const char open = text[from], close = open == '['   ? ']'
                                        : open == '(' ? ')'
                                        : open == '{' ? '}'
                                                      : '>';
  Mention found{Kind::shape, {}, from, from, "", "", false, -1};
  size_t k = from + 1;
  bool comma = false;
  while (true) {
    k = skip_spaces(text, k);
    if (at(text, k) == close && (!found.sizes.empty())) break;
    auto size = entry(text, k);
    if (!size) return std::nullopt;
    found.sizes.push_back(std::move(*size));
    const size_t before = k;
    k = skip_spaces(text, k);
    if (at(text, k) == ',' || at(text, k) == ';' ||
        ((at(text, k) == 'x' || at(text, k) == 'X') && open != '(')) {
      ++k;
      comma = true;
      if (open == '<' && is_letter(at(text, k))) {  // the element type of tensor<1x8xf16>
        while (is_word(at(text, k))) ++k;
      }
    } else if (at(text, k) != close && before == k) {
      return std::nullopt;  // neither a separator nor a space
    }
  }
  found.end = k + 1;
  const auto known = std::count_if(found.sizes.begin(), found.sizes.end(), [](const Size& each) {
    return each.value >= 0 || each.name.empty();
  });
  const bool numbers = std::any_of(found.sizes.begin(), found.sizes.end(),
                                   [](const Size& each) { return each.value >= 0; });
  if (!numbers || 2 * known < static_cast<ptrdiff_t>(found.sizes.size())) return std::nullopt;
  // "(x, heads=8)": a call with keywords.
  const bool keywords = std::any_of(found.sizes.begin(), found.sizes.end(), [](const Size& each) {
    return each.value >= 0 && !each.name.empty();
  });
  if (keywords && known < static_cast<ptrdiff_t>(found.sizes.size())) return std::nullopt;
  // "Attention(dim=128, heads=12)": so is this, but for "Shape(batch=2, len=8)".
  if (keywords && open == '(' && from > 0 && is_word(text[from - 1]) && !is_shape_word(text, from))
    return std::nullopt;
  if (found.sizes.size() == 1 && !comma &&
      (open == '(' || open == '<' ||
       (from > 0 && (is_word(text[from - 1]) || text[from - 1] == ']'))))
    return std::nullopt;
  return found;
}

/// "(272.1.6)": points between sizes, behind a word that says that a shape follows.
std::optional<Mention> dotted(std::string_view text, size_t from) {
  Mention found{Kind::shape, {}, from, from, "", "", false, -1};
  size_t k = from + 1;
  while (is_digit(at(text, k))) {
    Size size{0, k, 0, ""};
    const auto [end, error] =
        std::from_chars(text.data() + k, text.data() + text.size(), size.value);
    if (error != std::errc{}) return std::nullopt;
    size.length = static_cast<size_t>(end - text.data()) - k;
    k += size.length;
    found.sizes.push_back(std::move(size));
    if (at(text, k) != '.') break;
    ++k;
  }
  found.end = k + 1;
  if (found.sizes.size() < 2 || at(text, k) != ')') return std::nullopt;
  const std::string_view before =
      text.substr(from - std::min<size_t>(from, 40), std::min<size_t>(from, 40));
  for (const std::string_view word : {"shape", "pattern", "dims", "size"})
    if (before.find(word) != before.npos) return found;
  return std::nullopt;
}

/// "2x8x4x32" from its first digit on.
std::optional<Mention> crossed(std::string_view text, size_t from) {
  Mention found{Kind::shape, {}, from, from, "", "", false, -1};
  size_t k = from;
  while (true) {
    auto size = integer(text, k);
    if (!size) return std::nullopt;
    found.sizes.push_back(std::move(*size));
    size_t next = k;
    if (at(text, next) == ' ') ++next;
    if (at(text, next) != 'x' && at(text, next) != 'X') break;
    ++next;
    if (at(text, next) == ' ') ++next;
    if (!is_digit(at(text, next))) break;
    k = next;
  }
  found.end = k;
  if (found.sizes.size() < 2 || is_letter(at(text, k))) return std::nullopt;
  return found;
}

/// "4 20 64": three sizes or more with nothing but spaces between, or two behind the word shape.
std::optional<Mention> spaced(std::string_view text, size_t from) {
  Mention found{Kind::shape, {}, from, from, "", "", false, -1};
  for (size_t k = from;;) {
    auto size = integer(text, k);
    if (!size || is_letter(at(text, k))) return std::nullopt;
    found.sizes.push_back(std::move(*size));
    found.end = k;
    if (at(text, k) != ' ' || !is_digit(at(text, k + 1))) break;
    ++k;
  }
  const std::string_view before = text.substr(0, from);
  const bool told = before.ends_with("shape: ") || before.ends_with("shape ") ||
                    before.ends_with("sizes: ") || before.ends_with("sizes ");
  if (found.sizes.size() < (told ? 2U : 3U)) return std::nullopt;
  return found;
}

/// "8192,  1024,     1,     1" behind a word that says that a shape follows. The ones at its end,
/// to which ggml fills up, are left to be numbers.
std::optional<Mention> listed(std::string_view text, size_t from) {
  static constexpr std::string_view words[] = {"expected", "got", "shape", "shapes", "dims"};
  if (!ends_with_word(text.substr(0, from), words)) return std::nullopt;
  Mention found{Kind::shape, {}, from, from, "", "", false, -1};
  for (size_t k = from;;) {
    auto size = integer(text, k);
    if (!size || is_letter(at(text, k))) return std::nullopt;
    found.sizes.push_back(std::move(*size));
    if (at(text, k) != ',' || at(text, k + 1) != ' ') break;
    k = skip_spaces(text, k + 1);
    if (!is_digit(at(text, k))) break;
  }
  while (found.sizes.size() > 1 && found.sizes.back().value == 1) found.sizes.pop_back();
  if (found.sizes.size() < 2) return std::nullopt;
  found.end = found.sizes.back().offset + found.sizes.back().length;
  return found;
}

std::string_view last_words(std::string_view text, size_t end, size_t most) {
  text = text.substr(0, end);
  return text.substr(text.size() - std::min(text.size(), most));
}

/// Whether the text ends with one of the words, over spaces and the like.
bool ends_with_word(std::string_view text, std::span<const std::string_view> words) {
  while (!text.empty() && std::string_view(" #=:(\"'`").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  for (const std::string_view skipped : {" is", " of", " no", " number"})
    if (text.ends_with(skipped)) text.remove_suffix(skipped.size());
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    if (text.size() < word.size()) return false;
    const std::string_view tail = text.substr(text.size() - word.size());
    const bool same = std::equal(tail.begin(), tail.end(), word.begin(),
                                 [](char x, char y) { return (x | 32) == (y | 32) || x == y; });
    return same && (text.size() == word.size() || !is_word(text[text.size() - word.size() - 1]));
  });
}

bool starts_with_word(std::string_view text, std::span<const std::string_view> words) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '-')) text.remove_prefix(1);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.starts_with(word) && !is_word(at(text, word.size()));
  });
}

constexpr std::string_view kDimWords[] = {"dim",  "dimension", "dims",  "dimensions",
                                          "axis", "axes",      "index", "indices"};
constexpr std::string_view kRankWords[] = {"rank", "ndim", "ndims"};
constexpr std::string_view kRankAfter[] = {"dimensions", "dims", "dimensional", "axes",
                                           "dim tensor"};
constexpr std::string_view kElementsBefore[] = {"input of size", "array of size",  "numel",
                                                "total size",    "of total size",  "tensor with",
                                                "elements",      "array with size"};
constexpr std::string_view kElementsAfter[] = {"values", "elements", "entries"};
constexpr std::string_view kNoneBefore[] = {
    "start",         "line",     "step",      "seed",     "pid",    "offset",     "address",
    "tensor number", "argument", "arg",       "args",     "input",  "output",     "operand",
    "position",      "pos",      "error",     "code",     "layer",  "entry",      "opset",
    "version",       "device",   "gpu",       "rank:",    "signal", "status",     "node",
    "stage",         "epoch",    "iteration", "request",  "id",     "order",      "slot",
    "cuda",          "layers",   "block id",  "batch id", "item",   "item number"};
/// Of these a small number tells which one; a larger one in brackets is their size.
constexpr std::string_view kCounted[] = {"input", "output", "operand", "entry", "slot", "item"};
constexpr std::string_view kNoneAfter[] = {"GiB",   "MiB",  "KiB",   "GB",      "MB",
                                           "bytes", "ms",   "s",     "seconds", "%",
                                           "bit",   "bits", "times", "steps",   "layers"};

Kind kind_of(std::string_view text, size_t begin, size_t end) {
  const std::string_view before = last_words(text, begin, 60), after = text.substr(end, 40);
  const char left = begin > 0 ? text[begin - 1] : ' ', right = at(text, end);
  const bool path = left == '/' && (begin < 2 || !is_digit(text[begin - 2]));
  if (left == '.' || (left == ':' && begin > 1 && is_word(text[begin - 2])) || path || left == '#')
    return Kind::none;
  if (right == ':' && is_digit(at(text, end + 1))) return Kind::none;
  if (before.ends_with(": ") && after.starts_with(" :")) return Kind::none;  // an error's code
  const size_t sign = left == '-' ? begin - 1 : begin;                       // of "-1"
  const char opens = sign > 0 ? text[sign - 1] : ' ';
  const bool is_call = sign > 1 && is_word(text[sign - 2]);
  if ((opens == '[' && (right == ']' || right == ':')) || (opens == '(' && right == ')')) {
    static constexpr std::string_view shapes[] = {"shape", "size",  "ne",
                                                  "dims",  "sizes", "get_shape"};
    if (is_call && ends_with_word(text.substr(0, sign - 1), shapes)) return Kind::dim;
    if (is_call && opens == '[') return Kind::none;
  }
  const bool is_small = end - begin == 1 && text[begin] < '8';  // no tensor has more axes
  // "dimension 4 at axis 2": a size, and where.
  static constexpr std::string_view where[] = {"at axis", "at index", "at dim", "at dimension"};
  if (starts_with_word(after, where)) return Kind::size;
  if (is_small && ends_with_word(before, kDimWords)) {
    static constexpr std::string_view sizes[] = {"got dimension", "expected dimension"};
    return ends_with_word(before, sizes) && text.find(" at axis ") != text.npos ? Kind::size
                                                                                : Kind::dim;
  }
  if (ends_with_word(before, kRankWords) || starts_with_word(after, kRankAfter)) return Kind::rank;
  if (ends_with_word(before, kElementsBefore) || starts_with_word(after, kElementsAfter))
    return Kind::elements;
  if ((is_small || !ends_with_word(before, kCounted)) && ends_with_word(before, kNoneBefore))
    return Kind::none;
  if (starts_with_word(after, kNoneAfter)) return Kind::none;
  return end - begin == 1 && text[begin] == '0' && left != '(' ? Kind::none : Kind::size;
}

/// Shapes that are none: strides, offsets.
bool is_no_shape(std::string_view before) {
  static constexpr std::string_view words[] = {
      "stride", "strides", "perm", "permutation", "permute", "axes", "axis", "line", "version"};
  return ends_with_word(before, words);
}

void read_number(std::string_view text, const TextNumber& number, std::vector<Mention>& all) {
  const size_t end = number.offset + number.length;
  size_t begin = number.offset;
  const bool negative =
      begin > 0 && text[begin - 1] == '-' && (begin < 2 || !is_word(text[begin - 2]));
  const Kind kind = number.role == TextNumber::Role::noise && number.length > 9 ? Kind::none
                    : !std::all_of(text.begin() + static_cast<ptrdiff_t>(begin),
                                   text.begin() + static_cast<ptrdiff_t>(end), is_digit)
                        ? Kind::none
                        : kind_of(text, begin, end);
  const int64_t value = negative ? -number.value : number.value;
  all.push_back({kind, {{value, begin, number.length, ""}}, begin, end, "", "", false, -1});
}

/// "head_size must be one of [32, 64, 128]": sizes of one axis, the least first.
bool is_choice(std::string_view text, const Mention& shape) {
  static constexpr std::string_view words[] = {
      "in",    "one",     "only be", "only support", "supports", "range",    "only supports",
      "among", "allowed", "choices", "supported",    "either",   "available"};
  if (shape.sizes.size() < 2 || shape.sizes[0].value < 1) return false;
  for (size_t k = 1; k < shape.sizes.size(); ++k)
    if (shape.sizes[k].value <= shape.sizes[k - 1].value) return false;
  return ends_with_word(last_words(text, shape.begin, 40), words);
}

/// A list of more sizes than a tensor has axes is a list of sizes.
void add_shape(std::string_view text, Mention shape, std::vector<Mention>& all) {
  constexpr size_t most_axes = 8;
  if (shape.sizes.size() <= most_axes && !is_choice(text, shape))
    return all.push_back(std::move(shape));
  for (Size& size : shape.sizes)
    all.push_back({size.value > 0 ? Kind::size : Kind::none,
                   {size},
                   size.offset,
                   size.offset + size.length,
                   "",
                   "",
                   false,
                   -1});
}

/// ggml writes the innermost axis first.
bool is_reversed(std::string_view text, const Mention& shape) {
  static constexpr std::string_view reversed[] = {"ne"};
  if (ends_with_word(shape.before, reversed)) return true;
  for (const std::string_view word : {"ggml", "GGML", "mul_mat:"})
    if (text.find(word) != text.npos) return shape.sizes.size() == 4;
  // The tensors of its files.
  for (const std::string_view word : {"blk.", "llama.cpp", "llama_model_load", "gguf"})
    if (text.find(word) != text.npos) return true;
  return false;
}

}  // namespace

std::vector<Mention> mentions_in(std::string_view text) {
  std::vector<Mention> all;
  const std::vector<TextNumber> numbers = numbers_in(text);
  size_t next = 0;  // of the numbers
  for (size_t k = 0; k < text.size(); ++k) {
    while (next < numbers.size() && numbers[next].offset < k) ++next;
    const bool opens = text[k] == '[' || text[k] == '(' || text[k] == '{' || text[k] == '<';
    const bool digit =
        is_digit(text[k]) && (k == 0 || (!is_word(text[k - 1]) && text[k - 1] != '.'));
    auto shape = opens ? bracketed(text, k) : digit ? crossed(text, k) : std::nullopt;
    if (!shape && digit) shape = spaced(text, k);
    if (!shape && digit) shape = listed(text, k);
    if (!shape && text[k] == '(') shape = dotted(text, k);
    if (shape) {
      if (is_no_shape(last_words(text, k, 40))) shape->kind = Kind::none;
      k = shape->end - 1;
      add_shape(text, std::move(*shape), all);
    } else if (next < numbers.size() && numbers[next].offset == k) {
      read_number(text, numbers[next], all);
      k = all.back().end - 1;
    }
  }
  constexpr size_t most = 80;
  for (size_t k = 0; k < all.size(); ++k) {
    const size_t from = k > 0 ? all[k - 1].end : 0,
                 to = k + 1 < all.size() ? all[k + 1].begin : text.size();
    all[k].before = last_words(text.substr(from), all[k].begin - from, most);
    all[k].after = text.substr(all[k].end, std::min(most, to - all[k].end));
    all[k].is_reversed = all[k].kind == Kind::shape && is_reversed(text, all[k]);
  }
  int lacks = -1;  // all slices lack the same axis: the first tells which
  for (size_t k = 0; k + 1 < all.size(); ++k) {
    static constexpr std::string_view slices[] = {"slice shape"};
    if (all[k].kind != Kind::shape || !ends_with_word(all[k].before, slices)) continue;
    if (lacks < 0 && all[k + 1].kind == Kind::dim)
      lacks = static_cast<int>(all[k + 1].sizes[0].value);
    all[k].lacks = lacks;
  }
  return all;
}

}  // namespace attnfuzz::triage
