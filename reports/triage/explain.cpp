#include "reports/triage/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/causes/causes.h"
#include "reports/text.h"
#include "reports/triage/mistakes.h"

namespace attnfuzz::triage {
namespace {

bool has(std::string_view list, std::string_view word, char between) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(between), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

std::string replaced(std::string words, std::string_view what, std::string_view with) {
  for (size_t at = words.find(what); at != words.npos; at = words.find(what, at + with.size()))
    words.replace(at, what.size(), with);
  return words;
}

/// "{ta} has" of a tensor whose name is a plural.
std::string in_plural(std::string words, std::string_view a, std::string_view b) {
  for (const auto& [name, of] : {std::pair{"{ta}", a}, std::pair{"{tb}", b}}) {
    if (!of.ends_with('s') || of == "bias") continue;
    for (const auto& [one, more] : {std::pair{" has", " have"}, std::pair{" is", " are"}})
      words = replaced(std::move(words), std::string(name) + one, std::string(name) + more);
  }
  return words;
}

bool fits(const Mistake& row, const Reading& reading, const NumberAxis& a, const NumberAxis& b) {
  if (axis_kind(a.axis) != row.a || axis_kind(b.axis) != row.b) return false;
  if (!row.forms.empty() && !has(row.forms, reading.form, ' ')) return false;
  return row.roles.empty() || has(row.roles, reading.a, '|') || has(row.roles, reading.b, '|') ||
         has(row.roles, a.of, '|') || has(row.roles, b.of, '|');
}

/// What two axes that meet say, whatever tensors have them.
void name_by_axes(Reading& reading, const NumberAxis& x, const NumberAxis& y) {
  const AxisKind kx = axis_kind(x.axis), ky = axis_kind(y.axis);
  for (const AxisPair& row : axis_pairs()) {
    const bool straight = kx == row.a && ky == row.b, crossed = kx == row.b && ky == row.a;
    // A mask's mistakes are told where a mask was read.
    if ((!straight && !crossed) || row.name.starts_with("mask")) continue;
    const auto size = [](const NumberAxis& each) {
      return fmt::format("{}={}", each.axis, each.value);
    };
    const std::string words = replaced(std::string(row.words), "{a}", size(straight ? x : y));
    reading.cause = Cause{std::string(row.name),
                          text::sentence(replaced(words, "{b}", size(straight ? y : x)))};
    return;
  }
}

/// What the two sizes that do not agree say.
void name_mistake(Reading& reading) {
  if (!reading.meet) return;
  const NumberAxis &x = reading.numbers[reading.meet->first],
                   &y = reading.numbers[reading.meet->second];
  for (const Mistake& row : mistakes())
    for (const bool straight : {true, false}) {
      const NumberAxis &a = straight ? x : y, &b = straight ? y : x;
      if (!fits(row, reading, a, b)) continue;
      const auto size = [](const NumberAxis& each) {
        return fmt::format("{}={}", each.axis, each.value);
      };
      const auto whose = [](const NumberAxis& each, std::string_view other) {
        return each.of.empty() ? std::string(other) : "the " + each.of;
      };
      const bool same = a.of == b.of;
      std::string words = replaced(std::string(row.words), "{a}", size(a));
      if (!same) words = in_plural(std::move(words), a.of, b.of);
      words = replaced(words, "{b}", size(b));
      words = replaced(words, "{ta}", same ? "one side" : whose(a, "one side"));
      words = replaced(words, "{tb}", same ? "the other" : whose(b, "the other"));
      reading.cause = Cause{std::string(row.name), text::sentence(words)};
      return;
    }
  name_by_axes(reading, x, y);
}

/// Axes whose elements are tokens or sequences: what can be counted twice.
bool is_counted(std::string_view axis) {
  const AxisKind kind = axis_kind(axis);
  return kind == AxisKind::q_len || kind == AxisKind::kv_len || kind == AxisKind::batch ||
         kind == AxisKind::with_memory || axis.find("tokens") != axis.npos ||
         axis.starts_with("batch");
}

struct Relation {
  std::string_view words;
  bool (*holds)(int64_t more, int64_t less);
};
constexpr Relation kRelations[] = {
    {"{more} is {less} and one more: one token is counted on one side only",
     [](int64_t more, int64_t less) { return more == less + 1; }},
    {"{more} is twice {less} less one: the cached tokens are counted twice",
     [](int64_t more, int64_t less) { return less > 2 && more == 2 * less - 1; }},
    {"{more} is twice {less}: the tokens (or the rows) are counted twice on one side",
     [](int64_t more, int64_t less) { return less > 1 && more == 2 * less; }},
};

/// Two sizes of one axis that differ in a telling way.
void note_relation(Reading& reading) {
  if (!reading.meet) return;
  const NumberAxis &x = reading.numbers[reading.meet->first],
                   &y = reading.numbers[reading.meet->second];
  const auto is_a_length = [](const NumberAxis& each) {
    return axis_kind(each.axis) == AxisKind::q_len || axis_kind(each.axis) == AxisKind::kv_len;
  };
  if (!is_counted(x.axis) || (x.axis != y.axis && !(is_a_length(x) && is_a_length(y)))) return;
  const int64_t more = std::max(x.value, y.value), less = std::min(x.value, y.value);
  for (const Relation& row : kRelations)
    if (less > 0 && row.holds(more, less)) {
      reading.notes.push_back(
          replaced(replaced(std::string(row.words), "{more}", std::to_string(more)), "{less}",
                   std::to_string(less)) +
          ".");
      return;
    }
}

/// "shape '[16, 2048, 32, 128]' is invalid for input of size 33554432": the tensor has 8 heads,
/// not 32.
void note_elements(Reading& reading) {
  if (reading.elements <= 0 || reading.form != "reshape") return;
  for (const NumberAxis& number : reading.numbers) {
    if (number.value <= 1 || number.axis == "elements") continue;
    int64_t others = 1;
    for (const NumberAxis& other : reading.numbers)
      if (&other != &number && other.axis != "elements" && others < (int64_t{1} << 40))
        others *= std::max<int64_t>(1, other.value);
    const AxisKind kind = axis_kind(number.axis);
    const bool telling =
        kind == AxisKind::heads || kind == AxisKind::kv_heads || kind == AxisKind::tokens;
    if (!telling || reading.elements % others != 0 || reading.elements / others == number.value)
      continue;
    const int64_t there = reading.elements / others;
    const bool fewer = kind == AxisKind::heads && there > 0 && number.value % there == 0;
    std::string words =
        fmt::format("The tensor has {} elements: with the other axes as they are, {} of {}, not {}",
                    reading.elements, there, number.axis, number.value);
    if (fewer)
      words += fmt::format("; so keys or values of {} KV heads were viewed as {} heads", there,
                           number.value);
    reading.notes.push_back(words + ".");
    if (!reading.cause) reading.cause = Cause{"reshape", words + "."};
    return;
  }
  if (reading.cause) return;
  reading.cause = Cause{
      "reshape",
      fmt::format("A tensor of {} elements is viewed in a shape of another number of elements: an "
                  "axis of the view has the size of another axis, or the tensor was made for "
                  "other heads, tokens or features.",
                  reading.elements)};
}

/// CUDA's limit for the second and third size of a grid.
constexpr int64_t kMostBlocks = 65535;

void note_grid(Reading& reading) {
  if (reading.traceback.message.find("invalid configuration argument") == std::string::npos) return;
  for (const KnownSize& size : reading.known)
    if (size.value > kMostBlocks) {
      reading.numbers.push_back({size.value, size.axis, size.of, std::string::npos});
      reading.form = "limit";
      reading.sureness = Sureness::likely;
      reading.cause = Cause{"launch-configuration",
                            fmt::format("{}={} is more than {}, the most that the second and third "
                                        "size of a launch grid can be.",
                                        size.axis, size.value, kMostBlocks)};
    }
}

/// "embed_dim must be divisible by num_heads": what does not go into what.
void name_divisor(Reading& reading) {
  if (reading.cause || reading.form != "divisibility" ||
      reading.numbers.size() < reading.context + 2)
    return;
  const NumberAxis &whole = reading.numbers[reading.context],
                   &part = reading.numbers[reading.context + 1];
  if (part.value <= 0 || whole.value % part.value == 0) return;
  const auto words = [](const NumberAxis& each) {
    return each.axis.empty() || each.axis == "other" ? std::to_string(each.value)
                                                     : fmt::format("{}={}", each.axis, each.value);
  };
  reading.cause =
      Cause{"divisibility", fmt::format("{} is no multiple of {}: {} is left over.", words(whole),
                                        words(part), whole.value % part.value)};
}

/// What a pattern knows of a text whose numbers are no axes.
void cause_by_text(Reading& reading) {
  if (reading.cause || !reading.numbers.empty()) return;
  for (const auto& table : text_patterns())
    for (const TextPattern& row : table)
      if (match_text(row.pattern, reading.traceback.message) &&
          row.words.find('{') == row.words.npos) {
        reading.cause = Cause{std::string(row.name), std::string(row.words)};
        reading.form = row.name;
        return;
      }
}

void ask(Reading& reading) {
  if (reading.sureness == Sureness::sure) return;
  if (!reading.instead.empty())
    for (size_t k = 0;
         k < std::min(reading.numbers.size() - reading.context, reading.instead.size()); ++k) {
      const NumberAxis &one = reading.numbers[k + reading.context], &other = reading.instead[k];
      if (one.axis == other.axis || one.value <= 1) continue;
      reading.questions.push_back(fmt::format("Is {} {} or {}?", one.value,
                                              one.axis.empty() ? "something else" : one.axis,
                                              other.axis.empty() ? "something else" : other.axis));
      break;
    }
  if (reading.traceback.message_begin == 0)
    reading.questions.emplace_back("The innermost lines of the traceback: which line raised it?");
  std::string tensors = reading.a;
  if (!reading.b.empty() && reading.b != reading.a)
    tensors += (tensors.empty() ? "the " : " and the ") + reading.b;
  reading.questions.push_back(
      fmt::format("The shapes of {} right before that line (print them).",
                  tensors.empty() ? "all tensors of the call" : "the " + tensors));
  const auto is_named = [&](std::string_view axis) {
    return reading.size(axis) ||
           std::any_of(reading.numbers.begin(), reading.numbers.end(),
                       [&](const NumberAxis& each) { return each.axis == axis; });
  };
  if (!is_named("num_heads") && !is_named("num_kv_heads"))
    reading.questions.emplace_back(
        "The model's num_heads, num_kv_heads and head_dim; the batch size and the lengths of the "
        "call.");
}

}  // namespace

void explain(Reading& reading) {
  name_mistake(reading);
  note_relation(reading);
  note_elements(reading);
  note_grid(reading);
  name_divisor(reading);
  cause_by_text(reading);
  ask(reading);
}

}  // namespace attnfuzz::triage
