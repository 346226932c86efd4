#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "reports/triage/explain.h"
#include "reports/triage/question.h"
#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

constexpr double kLikely = .5, kRead = .05, kOther = .1;
/// A reading is sure only where the text itself names more of its sizes than this share: what is
/// only usual was too often wrong in texts that nobody had seen.
constexpr double kNamed = .5;

bool has_sizes(const std::vector<Mention>& mentions) {
  return std::any_of(mentions.begin(), mentions.end(), [](const Mention& each) {
    return each.kind == Mention::Kind::shape || each.kind == Mention::Kind::size;
  });
}

/// The message from the sentence of its first number to its last number.
void cut_core(Reading& reading, std::vector<Mention>& mentions) {
  const std::string& message = reading.traceback.message;
  size_t first = message.size(), last = 0;
  for (const Mention& each : mentions)
    if (each.kind != Mention::Kind::none) {
      first = std::min(first, each.begin);
      last = std::max(last, each.end);
    }
  if (last == 0) {
    reading.core = message;
    return;
  }
  constexpr size_t most_before = 200;
  size_t from = first - std::min(first, most_before);
  for (const std::string_view end : {". ", ": ", "! "})
    if (const size_t at = message.rfind(end, first);
        at != message.npos && at + end.size() + 12 < first)
      from = std::max(from, at + end.size());
  while (last < message.size() &&
         std::string_view(")]}'").find(message[last]) != std::string_view::npos)
    ++last;
  reading.core = message.substr(from, last - from);
  for (Mention& each : mentions) {
    each.begin -= std::min(each.begin, from);
    for (Size& size : each.sizes)
      size.offset = size.offset < from ? std::string::npos : size.offset - from;
  }
}

std::vector<NumberAxis> numbers_of(const Candidate& candidate,
                                   const std::vector<Mention>& mentions) {
  std::vector<NumberAxis> numbers;
  for (const Slot& slot : candidate.slots)
    numbers.push_back({slot.value, std::string(name_of(slot.axis)), std::string(name_of(slot.of)),
                       mentions[slot.mention].sizes[slot.place].offset});
  return numbers;
}

/// Where the message has no size: those that other lines give for the names in it ("assert n_head %
/// n_kv == 0", "n_head = 9").
void read_names(Reading& reading) {
  const std::string& message = reading.traceback.message;
  for (size_t k = 0; k < reading.traceback.lines.size(); ++k) {
    if (k >= reading.traceback.message_begin && k < reading.traceback.message_end) continue;
    for (const Mention& mention : mentions_in(reading.traceback.lines[k])) {
      if (mention.kind != Mention::Kind::size) continue;
      std::string_view name = mention.before;
      while (!name.empty() &&
             std::string_view(" =:\"'").find(name.back()) != std::string_view::npos)
        name.remove_suffix(1);
      name.remove_prefix(
          name.find_last_of(" ,;(\"'") == name.npos ? 0 : name.find_last_of(" ,;(\"'") + 1);
      const AxisGuess guess = axis_of(name);
      if (name.size() < 3 || message.find(name) == message.npos || guess.axis == Axis::none)
        continue;
      reading.numbers.push_back(
          {mention.sizes[0].value, std::string(name_of(guess.axis)), "", std::string::npos});
    }
  }
  if (!reading.numbers.empty()) reading.sureness = Sureness::likely;
}

/// The two sizes that should have agreed: of shapes those that lie on each other and differ,
/// neither of them 1 if there are such; else the first two numbers.
std::optional<std::pair<size_t, size_t>> meeting(const Candidate& best,
                                                 const std::vector<Mention>& mentions) {
  std::optional<std::pair<size_t, size_t>> found;
  size_t first = SIZE_MAX, second = SIZE_MAX;  // the two shapes
  for (const Slot& slot : best.slots) {
    if (!is_shape(mentions[slot.mention])) continue;
    if (first == SIZE_MAX)
      first = slot.mention;
    else if (slot.mention != first && second == SIZE_MAX)
      second = slot.mention;
  }
  if (second == SIZE_MAX) {
    if (first == SIZE_MAX && best.slots.size() > 1) return std::pair<size_t, size_t>{0, 1};
    return found;
  }
  const size_t ranks[] = {mentions[first].sizes.size(), mentions[second].sizes.size()};
  for (size_t x = 0; x < best.slots.size(); ++x)
    for (size_t y = 0; y < best.slots.size(); ++y) {
      const Slot &a = best.slots[x], &b = best.slots[y];
      if (a.mention != first || b.mention != second || a.value == b.value || a.value <= 0 ||
          b.value <= 0)
        continue;
      const bool product = best.form == Form::matmul || best.form == Form::einsum;
      const bool inner = product && a.place + 1 == ranks[0] && b.place + 2 == ranks[1];
      if (product ? !inner : ranks[0] - a.place != ranks[1] - b.place) continue;
      const bool telling = a.value != 1 && b.value != 1;
      if (telling || !found) found = {x, y};
      if (telling) return found;
    }
  return found;
}

/// How many axes have two sizes in a reading. An error has one cause, as a rule: where two axes
/// disagree, a tensor may be laid out otherwise than was read.
size_t disagreements(const Candidate& reading) {
  std::map<Axis, std::set<int64_t>> sizes;
  for (const Slot& slot : reading.slots)
    if (slot.value > 1 && slot.axis != Axis::none) sizes[slot.axis].insert(slot.value);
  return static_cast<size_t>(std::count_if(
      sizes.begin(), sizes.end(), [](const auto& each) { return each.second.size() > 1; }));
}

void take(Reading& reading, const std::vector<Candidate>& candidates, const Question& question) {
  const std::vector<Mention>& mentions = question.mentions;
  if (candidates.empty()) return;
  const Candidate& best = candidates[0];
  const double chance = agreed(candidates);
  if (chance < kRead) return;
  const double named = grounded(best, mentions, question.evidence);
  const bool trusted = fitted_trust().of(chance, support(best), named) >= sure_from();
  reading.sureness = trusted && named > kNamed && disagreements(best) < 2 ? Sureness::sure
                     : chance >= kLikely                                  ? Sureness::likely
                                                                          : Sureness::open;
  reading.numbers = numbers_of(best, mentions);
  reading.form = name_of(best.form);
  reading.a = name_of(best.a);
  reading.b = name_of(best.b);
  reading.meet = meeting(best, mentions);
  if (const int64_t dim = dimension_in(mentions); dim >= -8) reading.dim = dim;
  for (size_t k = 0; k < mentions.size(); ++k) {
    if (!is_shape(mentions[k])) continue;
    TensorRead tensor;
    for (const Slot& slot : best.slots)
      if (slot.mention == k) tensor.of = name_of(slot.of);
    for (const Size& size : mentions[k].sizes) tensor.sizes.push_back(size.value);
    reading.tensors.push_back(std::move(tensor));
  }
  for (const Mention& each : mentions)
    if (each.kind == Mention::Kind::elements) reading.elements = each.sizes[0].value;
  if (reading.sureness == Sureness::sure) return;
  for (const Candidate& each : candidates)
    if (!agree(best, each)) {
      if (each.chance >= kOther) reading.instead = numbers_of(each, mentions);
      break;
    }
}

/// Sizes that other lines give by name, before those of the message: they belong to what was read.
void add_context(Reading& reading, const Evidence& evidence) {
  constexpr double least = .6;
  if (reading.sureness == Sureness::none) return;
  std::vector<NumberAxis> context;
  for (const Fact& fact : evidence.facts) {
    const bool told =
        std::any_of(reading.numbers.begin(), reading.numbers.end(), [&](const NumberAxis& each) {
          return each.value == fact.value && each.offset == std::string::npos;
        });
    if (fact.weight < least || fact.of != Role::none || told || fact.weight >= 1) continue;
    context.push_back({fact.value, std::string(name_of(fact.axis)), "", std::string::npos});
  }
  if (reading.meet)
    reading.meet = {reading.meet->first + context.size(), reading.meet->second + context.size()};
  reading.context = context.size();
  reading.numbers.insert(reading.numbers.begin(), context.begin(), context.end());
}

}  // namespace

std::string_view name_of(Sureness sureness) {
  static constexpr std::string_view names[] = {"not read", "open", "likely", "sure"};
  return names[static_cast<size_t>(sureness)];
}

std::string NumberAxis::words() const {
  const std::string size = axis.empty() ? std::to_string(value) : fmt::format("{}={}", axis, value);
  return of.empty() ? size : fmt::format("{} ({})", size, of);
}

std::optional<int64_t> Reading::size(std::string_view axis) const {
  for (const KnownSize& each : known)
    if (each.axis == axis && each.of.empty()) return each.value;
  return std::nullopt;
}

std::string Reading::named_core() const {
  std::string named;
  size_t from = 0;
  for (const NumberAxis& number : numbers) {
    if (number.axis.empty() || number.value < 0 || number.offset == std::string::npos ||
        number.offset < from || number.offset > core.size())
      continue;
    named += core.substr(from, number.offset - from);
    from = number.offset;
    if (from == 0 || core[from - 1] != '=') named += number.axis + "=";
  }
  return named + core.substr(from);
}

Question take_apart(std::string_view raw, std::vector<KnownSize> known) {
  Question question;
  Reading& reading = question.reading;
  std::vector<Mention>& mentions = question.mentions;
  reading.traceback = read_traceback(raw);
  reading.known = std::move(known);
  for (KnownSize& size : sizes_in(raw))
    if (!reading.size(size.axis)) reading.known.push_back(std::move(size));
  mentions = mentions_in(reading.traceback.message);
  question.evidence = gather(reading.traceback, reading.known);
  if (std::none_of(mentions.begin(), mentions.end(), is_shape))
    for (const Fact& fact : facts_of_shapes(question.evidence, fitted_weights()))
      question.evidence.facts.push_back(fact);
  for (const Fact& fact : question.evidence.facts)
    if (fact.of == Role::none && !reading.size(name_of(fact.axis)))
      reading.known.push_back({std::string(name_of(fact.axis)), "", fact.value});
  if (!has_sizes(mentions)) read_names(reading);
  if (reading.numbers.empty() && !has_sizes(mentions) &&
      !mentions_in(reading.traceback.whole).empty()) {
    reading.traceback.message = reading.traceback.whole.substr(0, 2000);
    mentions = mentions_in(reading.traceback.message);
  }
  cut_core(reading, mentions);
  return question;
}

Reading answer(const Question& question, const std::vector<Candidate>& candidates) {
  Reading reading = question.reading;
  if (reading.numbers.empty()) take(reading, candidates, question);
  add_context(reading, question.evidence);
  return reading;
}

Reading read_error(std::string_view raw, std::vector<KnownSize> known) {
  const Question question = take_apart(raw, std::move(known));
  Reading reading = answer(question, solve(question.mentions, question.evidence));
  explain(reading);
  return reading;
}

}  // namespace attnfuzz::triage
