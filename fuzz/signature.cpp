#include "fuzz/signature.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "fuzz/error_text.h"

namespace attnfuzz {
namespace {

/// Failures of the output's values: they have no error text.
bool is_of_values(FailureKind kind) {
  return kind == FailureKind::mismatch || kind == FailureKind::ignored || kind == FailureKind::nan;
}

/// Kinds whose text has nothing to tell one bug from another.
bool has_text(FailureKind kind) {
  return kind == FailureKind::error || kind == FailureKind::shape || kind == FailureKind::crash;
}

/// `ignored` is a mismatch with a meaning.
FailureKind family(FailureKind kind) {
  return kind == FailureKind::ignored ? FailureKind::mismatch : kind;
}

bool among(const std::vector<std::string>& few, const std::vector<std::string>& many) {
  return std::includes(many.begin(), many.end(), few.begin(), few.end());
}

/// The axes that `number` can stand for are among the other's. A number that names none may be a
/// constant of the package: then it is the same number.
bool number_narrows(const FailureClass& a, const FailureClass& b, size_t k) {
  if (a.names[k].empty()) return b.names[k].empty() || a.values[k] == b.values[k];
  return among(a.names[k], b.names[k]);
}

bool is_unexplained(const FailureClass& failure) {
  return is_of_values(failure.kind) && failure.meanings.empty();
}

void read_text(FailureClass& failure, std::string_view text, const Case& c) {
  text = essence(text);
  const std::vector<NamedSize> sizes = named_sizes(c);
  size_t from = 0;
  for (const TextNumber& number : numbers_in(text)) {
    if (number.role == TextNumber::Role::constant) continue;
    failure.text += text.substr(from, number.offset - from);
    from = number.offset + number.length;
    if (number.role == TextNumber::Role::noise) {
      failure.text += "#";
      continue;
    }
    failure.text += "{}";
    failure.values.push_back(number.value);
    std::vector<std::string>& names = failure.names.emplace_back();
    for (const NamedSize& size : sizes)
      if (size.value == number.value) names.push_back(size.name);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  failure.text += text.substr(from);
}

/// What is hashed into a signature.
std::string identity(std::string_view target, const FailureClass& failure) {
  std::string text = fmt::format("{}\n{}\n{}\n", target, name(failure.kind), failure.text);
  for (const std::vector<std::string>& names : failure.names)
    text += fmt::format("{}\n", fmt::join(names, "|"));
  if (is_of_values(failure.kind)) text += fmt::format("{}\n", fmt::join(failure.meanings, "|"));
  if (is_unexplained(failure)) text += fmt::format("{}\n", fmt::join(failure.features, "|"));
  return text;
}

/// FNV-1a, 64 bits.
uint64_t hash(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325U;
  for (const char x : text) h = (h ^ static_cast<unsigned char>(x)) * 0x100000001b3U;
  return h;
}

}  // namespace

FailureClass classify(const Case& c, const Verdict& verdict) {
  FailureClass failure;
  failure.kind = verdict.failure;
  if (has_text(failure.kind)) read_text(failure, verdict.detail, c);
  for (const Alternative* fit : verdict.fits) failure.meanings.emplace_back(fit->name);
  std::sort(failure.meanings.begin(), failure.meanings.end());
  failure.features = features(c);
  std::erase_if(failure.features, [](const std::string& word) {
    return word.starts_with("dtype:") || word.starts_with("layout:");
  });
  return failure;
}

bool FailureClass::same_or_refines(const FailureClass& other) const {
  if (family(kind) != family(other.kind)) return false;
  if (is_unexplained(other)) return !meanings.empty() || among(features, other.features);
  if (is_unexplained(*this) || !among(meanings, other.meanings)) return false;
  if (text != other.text || names.size() != other.names.size()) return false;
  for (size_t k = 0; k < names.size(); ++k)
    if (!number_narrows(*this, other, k)) return false;
  return true;
}

bool FailureClass::covers(const FailureClass& other) const {
  if (is_unexplained(*this) || is_unexplained(other))
    return is_unexplained(*this) && is_unexplained(other) && same_or_refines(other);
  return same_or_refines(other) || other.same_or_refines(*this);
}

std::string signature(std::string_view target, const FailureClass& failure) {
  constexpr int bits_left_out = 16;
  return fmt::format("{}-{:012x}", name(failure.kind),
                     hash(identity(target, failure)) >> bits_left_out);
}

std::string signature(std::string_view target, const Case& c, const Verdict& verdict) {
  return signature(target, classify(c, verdict));
}

}  // namespace attnfuzz
