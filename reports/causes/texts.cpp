#include <fmt/format.h>

#include <algorithm>

#include "fuzz/error_text.h"
#include "reports/causes/causes.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

bool is_at(size_t offset, std::span<const TextNumber> numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [&](const TextNumber& number) {
    return number.offset == offset && number.role == TextNumber::Role::size;
  });
}

/// "kv_len=8": of the names that the number can have, the text gives one itself.
void prefer_given_name(std::string_view text, size_t offset, std::vector<std::string>& names) {
  const std::string_view before = text.substr(0, offset);
  for (const std::string& name : names)
    if (before.ends_with(name + "=")) {
      names = {std::string(name)};
      return;
    }
}

/// The axes that each capture can stand for. Numbers that run into each other ("10x64") are sizes
/// by where the pattern has them.
NamedCaptures name_captures(const Captures& captures, std::string_view text, const Case& c,
                            const FailureClass* learned) {
  const std::vector<NamedNumber> known = name_numbers(text, c, learned);
  const std::vector<TextNumber> numbers = numbers_in(text);
  const std::vector<NamedSize> sizes = named_sizes(c);
  NamedCaptures named;
  for (const auto& [key, list] : captures)
    for (const Captured& captured : list) {
      NamedCapture each{captured.value, {}};
      for (const NamedNumber& number : known)
        if (number.offset == captured.offset) each.names = number.names;
      prefer_given_name(text, captured.offset, each.names);
      if (!is_at(captured.offset, numbers))
        for (const NamedSize& size : sizes)
          if (size.value == captured.value && !size.alias) each.names.push_back(size.name);
      named[key].push_back(std::move(each));
    }
  return named;
}

struct Meeting {
  const AxisPair* pair = nullptr;
  std::string a, b;  ///< the axes' names
};

/// The likeliest pair of axes among what two numbers can stand for: likely names first; where a
/// number is 1, and so says nothing, the more telling pair.
Meeting meet(const NamedCapture& x, const NamedCapture& y) {
  Meeting best;
  size_t best_rank = SIZE_MAX;
  for (const AxisPair& pair : axis_pairs())
    for (size_t i = 0; i < x.names.size(); ++i)
      for (size_t j = 0; j < y.names.size(); ++j) {
        const AxisKind kx = axis_kind(x.names[i]), ky = axis_kind(y.names[j]);
        const bool straight = kx == pair.a && ky == pair.b, crossed = kx == pair.b && ky == pair.a;
        const size_t rank = (x.value == 1 ? 0 : i) + (y.value == 1 ? 0 : j);
        if ((straight || crossed) && rank < best_rank) {
          const std::string nx = fmt::format("{}={}", x.names[i], x.value);
          const std::string ny = fmt::format("{}={}", y.names[j], y.value);
          best = straight ? Meeting{&pair, nx, ny} : Meeting{&pair, ny, nx};
          best_rank = rank;
        }
      }
  return best;
}

std::string replaced(std::string words, std::string_view what, std::string_view with) {
  for (size_t at = words.find(what); at != words.npos; at = words.find(what, at + with.size()))
    words.replace(at, what.size(), with);
  return words;
}

std::string fill(std::string_view words, const NamedCaptures& captures) {
  std::string out(words);
  for (const auto& [key, list] : captures) {
    std::vector<std::string> named, plain;
    named.reserve(list.size());
    plain.reserve(list.size());
    for (const NamedCapture& n : list) {
      named.push_back(n.words());
      plain.push_back(std::to_string(n.value));
    }
    out = replaced(out, fmt::format("{{{}}}", key), fmt::format("{}", fmt::join(named, ", ")));
    out = replaced(out, fmt::format("{{{}:n}}", key), fmt::format("{}", fmt::join(plain, ", ")));
  }
  return out;
}

std::optional<Cause> explain(const TextPattern& row, std::string_view text, const Case& c,
                             const FailureClass* learned) {
  const auto captures = match_text(row.pattern, text);
  if (!captures) return std::nullopt;
  return word_cause(row, name_captures(*captures, text, c, learned));
}

using Two = std::pair<const NamedCapture*, const NamedCapture*>;

/// Where two shapes, aligned on their last axis, differ: the first such axis from the right,
/// preferably one where neither is 1.
Two differing(const std::vector<NamedCapture>& one, const std::vector<NamedCapture>& two,
              int64_t except) {
  Two found{};
  for (size_t k = 1; k <= std::min(one.size(), two.size()); ++k) {
    const NamedCapture &x = one[one.size() - k], &y = two[two.size() - k];
    const bool is_left_out = static_cast<int64_t>(one.size() - k) == except;
    if (x.value == y.value || is_left_out) continue;
    const bool telling = x.value != 1 && y.value != 1;
    if (telling) return {&x, &y};
    if (found.first == nullptr) found = {&x, &y};
  }
  return found;
}

/// The two captures that should have been equal.
Two opposed(const NamedCaptures& captures) {
  const auto list = [&](std::string_view key) {
    const auto found = captures.find(key);
    return found == captures.end() || found->second.empty() ? nullptr : &found->second;
  };
  const auto *a = list("a"), *b = list("b"), *c = list("c"), *d = list("d");
  const auto *one = list("one"), *two = list("two"), *except = list("except");
  if (c && d && a && b && a->front().value == b->front().value) return {&c->front(), &d->front()};
  if (a && b) return {&a->front(), &b->front()};
  if (one && two) return differing(*one, *two, except ? except->front().value : -1);
  return {};
}

}  // namespace

std::span<const std::span<const TextPattern>> text_patterns() {
  static const std::span<const TextPattern> all[] = {
      pytorch_patterns, onnxruntime_patterns, array_patterns, sanitizer_patterns, gpu_patterns};
  return all;
}

std::string NamedCapture::words() const {
  return names.empty() ? std::to_string(value) : fmt::format("{}={}", names.front(), value);
}

Cause word_cause(const TextPattern& row, const NamedCaptures& captures) {
  Cause cause{std::string(row.name), fill(row.words, captures)};
  std::string hint;
  const auto [a, b] = opposed(captures);
  cause.words = replaced(cause.words, "{mismatch}",
                         a ? fmt::format("where {} meets {}", a->words(), b->words())
                           : std::string("though their axes do not fit"));
  if (row.words.find("{hint}") != row.words.npos && a) {
    const Meeting meeting = meet(*a, *b);
    if (meeting.pair) {
      hint = replaced(std::string(meeting.pair->words), "{a}", meeting.a);
      hint = " " + text::sentence("likely, " + replaced(hint, "{b}", meeting.b));
      cause.name = meeting.pair->name;
    }
  }
  cause.words = replaced(cause.words, "{hint}", hint);
  return cause;
}

std::vector<Cause> causes_from_text(std::string_view raw, const Case& c,
                                    const FailureClass* learned) {
  const std::string text = text::clean(raw);
  std::vector<Cause> causes;
  for (const auto& table : text_patterns())
    for (const TextPattern& row : table)
      if (auto cause = explain(row, text, c, learned)) {
        const bool told = std::any_of(causes.begin(), causes.end(), [&](const Cause& other) {
          return other.name == cause->name;
        });
        if (!told) causes.push_back(std::move(*cause));
      }
  return causes;
}

}  // namespace attnfuzz
