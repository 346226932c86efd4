#include "fuzz/signature.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "fuzz/error_text.h"
#include "fuzz/relations/relation.h"
#include "oracle/fnv.h"
#include "oracle/work.h"
#include "targets/plugin.h"

namespace attnfuzz {
namespace {

/// Longer texts are cut, with the numbers in what is cut off.
constexpr size_t max_text = 400;

/// Failures of the output's values: they have no error text.
bool is_of_values(FailureKind kind) {
  return kind == FailureKind::mismatch || kind == FailureKind::ignored ||
         kind == FailureKind::nan || kind == FailureKind::relation;
}

/// Kinds whose text has nothing to tell one bug from another.
bool has_text(FailureKind kind) {
  return kind == FailureKind::error || kind == FailureKind::shape || kind == FailureKind::crash;
}

/// `ignored` is a mismatch with a meaning, and what has a meaning can be NaN or not, by the data.
FailureKind family(const FailureClass& failure) {
  const bool of_meaning = failure.kind == FailureKind::nan && !failure.meanings.empty();
  return failure.kind == FailureKind::ignored || of_meaning ? FailureKind::mismatch : failure.kind;
}

bool among(const std::vector<std::string>& few, const std::vector<std::string>& many) {
  return std::includes(many.begin(), many.end(), few.begin(), few.end());
}

bool share_one(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& x) {
    return std::find(b.begin(), b.end(), x) != b.end();
  });
}

bool can_be_same(const NumberReading& a, const NumberReading& b) {
  return a.is_open() || b.is_open() || share_one(a.names, b.names) ||
         (a.constant && a.constant == b.constant);
}

/// A smaller case's number. What is no axis may change: it is made from sizes without a name.
bool admits_number(const NumberReading& known, const NumberReading& smaller) {
  if (known.names.empty()) return true;
  return can_be_same(known, smaller) && smaller.ambiguity <= std::max<size_t>(1, known.ambiguity);
}

bool is_unexplained(const FailureClass& failure) {
  return is_of_values(failure.kind) && failure.meanings.empty();
}

/// Stands among the features of a failure that no meaning was looked for: its case is_long().
constexpr std::string_view long_case = "long";

bool is_unread(const FailureClass& failure) {
  return is_unexplained(failure) && std::find(failure.features.begin(), failure.features.end(),
                                              long_case) != failure.features.end();
}

void read_text(FailureClass& failure, std::string_view text, const Case& c) {
  text = dedup_text(text);
  const std::vector<NamedSize> sizes = named_sizes(c);
  size_t from = 0;
  for (const TextNumber& number : numbers_in(text)) {
    if (number.role == TextNumber::Role::constant) continue;
    if (failure.text.size() + number.offset - from > max_text) break;
    failure.text += text.substr(from, number.offset - from);
    from = number.offset + number.length;
    if (number.role == TextNumber::Role::noise) {
      failure.text += "#";
      continue;
    }
    failure.text += "{}";
    NumberReading& reading = failure.numbers.emplace_back();
    reading.constant = number.value;
    for (const NamedSize& size : sizes) {
      if (size.value != number.value) continue;
      reading.names.push_back(size.name);
      reading.ambiguity += !size.alias;
    }
  }
  failure.text += text.substr(from);
  failure.text.resize(std::min(failure.text.size(), max_text));
}

/// The case without the steps after the one that failed: they tell nothing of it.
Case first_steps(Case c, size_t steps) {
  c.steps.resize(std::min(c.steps.size(), steps));
  return c;
}

/// Of the meanings that an output can have, the most specific one.
std::string_view likeliest(const std::vector<std::string>& meanings) {
  for (const Fault& each : faults())
    if (std::find(meanings.begin(), meanings.end(), each.name) != meanings.end()) return each.name;
  return meanings.empty() ? std::string_view() : meanings.front();
}

/// What is hashed into a signature. The environment in "package:name@environment" is no part of it,
/// nor is a plug-in's folder: a bug keeps its signature from release to release and place to place.
std::string identity(std::string_view target, const FailureClass& failure) {
  target = is_plugin_name(target) ? target.substr(target.rfind('/') + 1)
                                  : target.substr(0, target.find('@'));
  if (!failure.alone) return fmt::format("{}\n{}\nnot alone\n", target, name(family(failure)));
  std::string text = fmt::format("{}\n{}\n{}\n", target, name(failure.kind), failure.text);
  for (const NumberReading& number : failure.numbers)
    text += number.names.empty() ? "#\n" : number.names.front() + "\n";
  if (is_of_values(failure.kind)) text += fmt::format("{}\n", likeliest(failure.meanings));
  if (is_unexplained(failure)) text += fmt::format("{}\n", fmt::join(failure.features, "|"));
  return text;
}

}  // namespace

FailureClass classify(const Case& c, const Verdict& verdict) {
  FailureClass failure;
  failure.kind = verdict.failure;
  if (has_text(failure.kind))
    read_text(failure, verdict.dedup_text.empty() ? verdict.detail : verdict.dedup_text,
              first_steps(c, verdict.steps));
  for (const Fault* fit : verdict.fits) failure.meanings.emplace_back(fit->name);
  if (failure.kind == FailureKind::relation)
    failure.meanings = {std::string(verdict.relation->name)};
  else if (failure.meanings.empty() && verdict.leaked)
    failure.meanings = {"leaked"};
  std::sort(failure.meanings.begin(), failure.meanings.end());
  failure.features = features(c);
  std::erase_if(failure.features, [](const std::string& word) {
    return word.starts_with("dtype:") || word.starts_with("layout:");
  });
  if (is_long(c)) {
    failure.features.emplace_back(long_case);
    std::sort(failure.features.begin(), failure.features.end());
  }
  return failure;
}

bool FailureClass::covers(const FailureClass& other) const {
  if (family(*this) != family(other) || alone != other.alone) return false;
  if (!alone) return true;
  if (text != other.text) return false;
  if (is_unread(other)) return among(features, other.features);
  if (is_unexplained(*this) || is_unexplained(other))
    return is_unexplained(*this) && is_unexplained(other) && among(features, other.features);
  const bool explained = !meanings.empty() && !other.meanings.empty();  // wrong lengths, too
  if (is_of_values(kind) || explained) return share_one(meanings, other.meanings);
  return std::equal(numbers.begin(), numbers.end(), other.numbers.begin(), other.numbers.end(),
                    can_be_same);
}

bool FailureClass::admits(const FailureClass& smaller) const {
  if (family(*this) != family(smaller) || text != smaller.text) return false;
  if (is_unexplained(*this)) return !smaller.meanings.empty() || among(smaller.features, features);
  if (is_of_values(kind)) return share_one(smaller.meanings, meanings);
  return std::equal(numbers.begin(), numbers.end(), smaller.numbers.begin(), smaller.numbers.end(),
                    admits_number);
}

bool FailureClass::is_ambiguous() const {
  return meanings.size() > 1 ||
         std::any_of(numbers.begin(), numbers.end(), [](const NumberReading& number) {
           return number.names.size() + number.constant.has_value() > 1;
         });
}

void FailureClass::narrow(const FailureClass& other) {
  std::erase_if(meanings, [&](const std::string& meaning) {
    return std::find(other.meanings.begin(), other.meanings.end(), meaning) == other.meanings.end();
  });
  for (size_t k = 0; k < numbers.size(); ++k) {
    NumberReading& number = numbers[k];
    const NumberReading& seen = other.numbers[k];
    std::erase_if(number.names, [&](const std::string& axis) {
      return std::find(seen.names.begin(), seen.names.end(), axis) == seen.names.end();
    });
    if (number.constant != seen.constant) number.constant.reset();
  }
}

void FailureClass::follow(const FailureClass& smaller) {
  if (meanings.empty()) meanings = smaller.meanings;
  narrow(smaller);
  kind = smaller.kind;
  features = smaller.features;
  for (size_t k = 0; k < numbers.size(); ++k) numbers[k].ambiguity = smaller.numbers[k].ambiguity;
}

std::string signature(std::string_view target, const FailureClass& failure) {
  constexpr int bits_left_out = 16;
  return fmt::format("{}-{:012x}", name(failure.kind),
                     fnv1a(identity(target, failure)) >> bits_left_out);
}

std::string signature(std::string_view target, const Case& c, const Verdict& verdict) {
  return signature(target, classify(c, verdict));
}

}  // namespace attnfuzz
