#include "reports/triage/shape_forms.h"

#include <algorithm>
#include <charconv>

#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

using Kind = Mention::Kind;

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

}  // namespace

std::optional<Mention> shape_at(std::string_view text, size_t from) {
  const char x = text[from];
  const bool opens = x == '[' || x == '(' || x == '{' || x == '<';
  const bool digit =
      is_digit(x) && (from == 0 || (!is_word(text[from - 1]) && text[from - 1] != '.'));
  auto shape = opens ? bracketed(text, from) : digit ? crossed(text, from) : std::nullopt;
  if (!shape && digit) shape = spaced(text, from);
  if (!shape && digit) shape = listed(text, from);
  if (!shape && x == '(') shape = dotted(text, from);
  return shape;
}

}  // namespace attnfuzz::triage
