#include "reports/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace attnfuzz::text {
namespace {

struct Rune {
  uint32_t code;
  size_t bytes;
};

/// The character at `at`; code 0xFFFD with one byte where the bytes are not UTF-8.
Rune rune_at(std::string_view s, size_t at) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(s[at + k]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + bytes > s.size()) return {0xFFFD, 1};
  uint32_t code = lead & (0x7Fu >> bytes);
  for (size_t k = 1; k < bytes; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return {0xFFFD, 1};
    code = code << 6 | (byte(k) & 0x3Fu);
  }
  constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < smallest[bytes] || code > 0x10FFFF || surrogate) return {0xFFFD, 1};
  return {code, bytes};
}

bool bidirectional(uint32_t code) {
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

bool unprintable(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || bidirectional(code) || code == 0xFFFE ||
         code == 0xFFFF;
}

/// Bytes of the ANSI escape sequence at `at` (which holds ESC), 1 if it is a lone ESC.
size_t escape_sequence(std::string_view s, size_t at) {
  if (at + 1 >= s.size()) return 1;
  size_t end = at + 2;
  if (s[at + 1] == '[') {  // CSI: parameters up to a final byte
    while (end < s.size() && s[end] >= 0x20 && s[end] < 0x40) ++end;
    return std::min(end + 1, s.size()) - at;
  }
  if (s[at + 1] == ']' || s[at + 1] == 'P') {  // OSC, DCS: up to BEL or ESC backslash
    while (end < s.size() && s[end] != '\a' && s[end] != '\x1b') ++end;
    if (end < s.size() && s[end] == '\x1b' && end + 1 < s.size()) ++end;
    return std::min(end + 1, s.size()) - at;
  }
  return s[at + 1] >= 0x20 && s[at + 1] < 0x7F ? 2 : 1;
}

std::string replace_each(std::string_view raw, std::string (*replace)(char)) {
  std::string out;
  for (const char c : raw) out += replace(c);
  return out;
}

}  // namespace

std::string clean(std::string_view raw, size_t limit) {
  constexpr size_t note = 64;  // room for the words about what is left out
  std::string out;
  size_t cut_out = 0, cut_raw = 0;  // where the text would be cut
  size_t at = 0;
  while (at < raw.size() && out.size() <= limit) {
    if (out.size() + note <= limit) cut_out = out.size(), cut_raw = at;
    if (raw[at] == '\x1b') {
      at += escape_sequence(raw, at);
      continue;
    }
    const Rune rune = rune_at(raw, at);
    const bool newline = rune.code == '\r' && at + 1 < raw.size() && raw[at + 1] == '\n';
    if (rune.code == '\n' || rune.code == '\t')
      out += raw[at];
    else if (rune.code == 0xFFFD)
      out += "\uFFFD";
    else if (unprintable(rune.code) && !newline)
      out += rune.code < 0x100 ? fmt::format("\\x{:02x}", rune.code)
                               : fmt::format("\\u{:04x}", rune.code);
    else if (!newline)
      out += raw.substr(at, rune.bytes);
    at += rune.bytes;
  }
  if (out.size() <= limit) return out;
  out.resize(cut_out);
  return out + fmt::format("\n[… {} more bytes left out]", raw.size() - cut_raw);
}

std::string line(std::string_view raw, size_t limit) {
  const std::string all = clean(raw, 4 * limit + 64);
  std::string out;
  for (const char c : all) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  if (out.size() <= limit) return out;
  size_t keep = std::min(limit, out.size());
  while (keep > 0 && keep < out.size() && (static_cast<uint8_t>(out[keep]) & 0xC0) == 0x80) --keep;
  return out.substr(0, keep) + "…";
}

std::string xml(std::string_view raw) {
  return replace_each(raw, [](char c) -> std::string {
    switch (c) {
      case '&':
        return "&amp;";
      case '<':
        return "&lt;";
      case '>':
        return "&gt;";
      case '"':
        return "&quot;";
      case '\'':
        return "&#39;";
      default:
        return {c};
    }
  });
}

std::string markdown(std::string_view raw) {
  constexpr std::string_view special = "\\`*_[]<>|#~$&";
  const auto in_word = [&](size_t k) {
    return k < raw.size() && std::isalnum(static_cast<unsigned char>(raw[k])) != 0;
  };
  std::string out;
  for (size_t k = 0; k < raw.size(); ++k) {
    const bool plain = raw[k] == '_' && k > 0 && in_word(k - 1) && in_word(k + 1);  // q_len
    if (!plain && special.find(raw[k]) != special.npos) out += '\\';
    out += raw[k];
  }
  return out;
}

namespace {
size_t longest_run(std::string_view s, char of) {
  size_t longest = 0, run = 0;
  for (const char c : s) {
    run = c == of ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}
}  // namespace

std::string markdown_code(std::string_view raw) {
  std::string inside(raw);
  std::replace(inside.begin(), inside.end(), '\n', ' ');
  const std::string ticks(longest_run(inside, '`') + 1, '`');
  const bool pad = !inside.empty() && (inside.front() == '`' || inside.back() == '`');
  return ticks + (pad ? " " + inside + " " : inside) + ticks;
}

std::string markdown_block(std::string_view raw, std::string_view language) {
  const std::string fence(std::max<size_t>(3, longest_run(raw, '`') + 1), '`');
  const bool ends = !raw.empty() && raw.back() == '\n';
  return fmt::format("{}{}\n{}{}{}\n", fence, language, raw, ends ? "" : "\n", fence);
}

std::string shell(std::string_view raw) {
  return "'" + replace_each(raw, [](char c) { return c == '\'' ? "'\\''" : std::string(1, c); }) +
         "'";
}

std::string c_string(std::string_view raw) {
  std::string out = "\"";
  for (const char c : raw) {
    const auto byte = static_cast<uint8_t>(c);
    const bool plain = byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\' && c != '?';
    out += plain ? std::string(1, c) : fmt::format("\\{:03o}", byte);
  }
  return out + '"';
}

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return fmt::format("{}", value);
}

std::string count(int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

std::string list(const std::vector<std::string>& items) {
  std::string out;
  for (size_t k = 0; k < items.size(); ++k)
    out += (k == 0 ? "" : k + 1 == items.size() ? " and " : ", ") + items[k];
  return out;
}

std::string sentence(std::string_view words) {
  std::string out(words);
  if (out.empty()) return out;
  if (out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  if (std::string_view(".!?").find(out.back()) == std::string_view::npos) out += '.';
  return out;
}

}  // namespace attnfuzz::text
