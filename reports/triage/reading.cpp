#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/causes/causes.h"
#include "reports/triage/triage.h"

namespace attnfuzz::triage {
namespace {

using Axes = std::vector<std::string>;

Axes split(std::string_view list, char at) {
  Axes parts;
  while (!list.empty()) {
    const size_t end = std::min(list.find(at), list.size());
    if (end > 0) parts.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

bool is_first(std::string_view capture) {
  return capture == "a" || capture == "one" || capture == "want" || capture == "target";
}

bool is_length(std::string_view axis) {
  const AxisKind kind = axis_kind(axis);
  return kind == AxisKind::q_len || kind == AxisKind::kv_len;
}

/// Names the numbers of one text: by their place where that tells, by their value where a size
/// that is known says otherwise.
class Namer {
 public:
  Namer(Reading& reading, const Operation& operation) : reading_(reading), operation_(operation) {}

  /// `start`: where the core begins in the text that the captures are of.
  void name(std::string_view rule, const Captures& captures, size_t start) {
    const size_t sign = rule.find_first_of("@=:");
    const auto found = captures.find(rule.substr(0, sign));
    if (found == captures.end()) return;
    const std::string_view how = rule.substr(sign + 1);
    const bool first = is_first(found->first);
    const Axes operand = split(first ? operation_.a : operation_.b, ',');
    const Axes axes =
        rule[sign] != '@' ? split(how, ',') : places(how, found->second, captures, operand);
    const size_t count = found->second.size();
    std::string of(first ? operation_.of_a : operation_.of_b);
    if (found->first == "mask" || found->first == "got" || found->first == "tensor") of = "mask";
    if (found->first == "want" || found->first == "target" || how == "view") of = "";
    const bool positional = rule[sign] == '@';
    // Shapes are aligned on their last axis, as broadcasting does.
    const auto place = [&](size_t k) {
      return k + axes.size() >= count ? axes[k + axes.size() - count] : std::string();
    };
    taken_.clear();
    for (size_t k = 0; count > 1 && k < count; ++k)
      if (expected_of(place(k)) == found->second[k].value) taken_.push_back(place(k));
    for (size_t k = 0; k < count; ++k) {
      add(found->first, found->second[k].value, place(k), positional || count > 1 ? of : "",
          rule[sign] == '=');
      NumberAxis& added = reading_.numbers.back();
      added.offset = found->second[k].offset - start;
      // Both operands lie along the dimension: what one is there, the other is too.
      if (how == "dim" && added.why == "its value" && added.of.empty()) dim_axis_ = added.axis;
    }
  }

 private:
  Axes places(std::string_view how, const std::vector<Captured>& list, const Captures& captures,
              const Axes& operand) const {
    if (how == "shape") return operand;
    if (how == "last") return {operand.back()};
    if (how == "inner") return {split(operation_.a, ',').back()};  // that a product sums over
    if (how == "letter") return {of_letter()};
    if (how == "view") return viewed(list.size());
    const auto dim = captures.find("dim");
    if (dim == captures.end()) return {""};
    const int64_t number = dim->second.front().value,
                  at = number - hidden_axes(captures, number, operand);
    if (at < 0 || at >= static_cast<int64_t>(operand.size())) return {""};
    if (how == "dim" && !dim_axis_.empty()) return {dim_axis_};
    if (how == "joined") return {joined(captures, static_cast<size_t>(at), operand)};
    return {operand[static_cast<size_t>(at)]};
  }

  /// How many axes the tensors have before the operand's first (fewer: negative), as far as a shape
  /// in the text or the number of the dimension tells.
  static int64_t hidden_axes(const Captures& captures, int64_t dim, const Axes& operand) {
    const auto axes = static_cast<int64_t>(operand.size());
    const auto target = captures.find("target");
    if (target != captures.end()) return static_cast<int64_t>(target->second.size()) - axes;
    return std::max<int64_t>(0, dim + 1 - axes);
  }

  /// The axis that differs where tensors are joined along another, one for both sizes: of keys,
  /// head sizes are multiples of eight from 16 up, numbers of heads are not.
  static std::string joined(const Captures& captures, size_t dim, const Axes& operand) {
    constexpr int64_t least_head = 16, multiple = 8;
    if (operand.size() < 4) return "";
    bool wide = true;
    for (const std::string_view key : {"a", "b"})
      for (const Captured& each : captures.find(key)->second)
        wide = wide && each.value >= least_head && each.value % multiple == 0;
    if (dim == 2) return wide ? operand[3] : operand[1];
    return dim == 1 ? operand[2] : operand[1];
  }

  /// The axis that the field's einsums have a letter for: "subscript d", "label 'd'".
  std::string of_letter() const {
    static constexpr std::pair<std::string_view, std::string_view> letters[] = {{"b", "batch"},
                                                                                {"h", "num_heads"},
                                                                                {"d", "head_dim"},
                                                                                {"qitl", "q_len"},
                                                                                {"kjs", "kv_len"}};
    for (const std::string_view word : {"subscript ", "label '"}) {
      const size_t at = reading_.core.find(word);
      if (at == std::string::npos || at + word.size() >= reading_.core.size()) continue;
      for (const auto& [some, axis] : letters)
        if (some.find(reading_.core[at + word.size()]) != some.npos) return std::string(axis);
    }
    return "";
  }

  /// The axes of a view, from the words of the call: ".view(bsz, q_len, num_heads, head_dim)".
  Axes viewed(size_t count) const {
    for (size_t k = reading_.traceback.lines.size(); k-- > 0;)
      for (const std::string_view call : {"reshape(", "view("}) {
        const std::string& line = reading_.traceback.lines[k];
        const size_t at = line.find(call);
        if (at == line.npos) continue;
        std::string inside = line.substr(at + call.size());
        inside.resize(std::min(inside.find(')'), inside.size()));
        std::erase_if(inside, [](char x) { return x == '[' || x == ']' || x == ' '; });
        const Axes words = split(inside, ',');
        if (words.size() != count) continue;
        Axes axes;
        for (const std::string& word : words) axes.push_back(axis_of(word));
        return axes;
      }
    if (count == 4) return {"batch", "q_len", "num_heads", "head_dim"};
    if (count == 3) return {"q_len", "batch*num_heads", "head_dim"};
    return Axes(count);
  }

  static std::string axis_of(std::string_view expression) {
    Axes factors;
    for (std::string word : split(expression, '*')) {
      if (const size_t dot = word.rfind('.'); dot != word.npos) word.erase(0, dot + 1);
      const std::string_view axis = axis_of_word(word);
      if (axis.empty()) return "";
      factors.emplace_back(axis);
    }
    const std::string product = fmt::format("{}", fmt::join(factors, "*"));
    if (product == "batch*kv_len") return "kv_tokens";
    return product == "batch*q_len" ? "tokens" : product;
  }

  void add(const std::string& capture, int64_t value, std::string place, std::string of,
           bool sure) {
    NumberAxis number{capture, value, std::move(place), std::move(of), "its place", 0};
    const auto known = expected_of(number.axis);
    const bool contradicted = number.axis.empty() || (known && *known != value);
    if (value > 1 && contradicted && !sure) by_value(number);
    if (number.axis.empty()) number.why.clear();
    // 1 is the size of a mask's heads whatever the call's are.
    const bool says_nothing = number.axis.empty() || (value == 1 && number.axis == "num_heads");
    if (number.of.empty() && !says_nothing && !value_of(number.axis))
      reading_.known.push_back({number.axis, "", value});
    reading_.numbers.push_back(std::move(number));
  }

  std::optional<int64_t> value_of(std::string_view axis) const { return reading_.size(axis); }

  /// Without a word of the keys, they are as many as the queries.
  std::optional<int64_t> expected_of(std::string_view axis) const {
    const auto known = value_of(axis);
    return !known && axis == "kv_len" ? value_of("q_len") : known;
  }

  /// Another axis that is known to have this size, or one that two known sizes make.
  void by_value(NumberAxis& number) const {
    const auto& known = reading_.known;
    const auto same = [&](const KnownSize& size) {
      const bool taken = std::find(taken_.begin(), taken_.end(), size.axis) != taken_.end();
      return size.value == number.value && (!taken || is_length(size.axis));
    };
    // The same axis of another tensor first: a mask's kv_len meets the call's.
    auto found = std::find_if(known.begin(), known.end(), [&](const KnownSize& size) {
      return same(size) && size.axis == number.axis;
    });
    if (found == known.end()) found = std::find_if(known.begin(), known.end(), same);
    if (found != known.end()) {
      number.axis = found->axis;
      number.of = found->of;
      number.why = "its value";
      return;
    }
    // Fewer heads than the queries have, that share them evenly.
    const auto heads = value_of("num_heads");
    if (number.axis == "num_heads" && heads && number.value < *heads &&
        *heads % number.value == 0 && !value_of("num_kv_heads"))
      return made_of(number, "num_kv_heads");
    static constexpr std::string_view sums[][2] = {{"memory_kv", "kv_len"},
                                                   {"memory_kv", "q_len"},
                                                   {"past_len", "q_len"},
                                                   {"past_len", "kv_len"}};
    static constexpr std::string_view products[][2] = {
        {"batch", "num_heads"},       {"batch", "num_kv_heads"}, {"num_heads", "head_dim"},
        {"num_kv_heads", "head_dim"}, {"batch", "q_len"},        {"batch", "kv_len"}};
    for (const auto& [x, y] : sums)
      if (const auto a = value_of(x), b = value_of(y); a && b && *a + *b == number.value)
        return made_of(number, fmt::format("{}+{}", x, y));
    for (const auto& [x, y] : products)
      if (const auto a = value_of(x), b = value_of(y); a && b && *a * *b == number.value)
        return made_of(number, fmt::format("{}*{}", x, y));
  }

  static void made_of(NumberAxis& number, std::string axis) {
    number.axis = std::move(axis);
    number.of.clear();
    number.why = "its value";
  }

  Reading& reading_;
  const Operation& operation_;
  std::string dim_axis_;  ///< the axis of "dimension {dim}", once a value has told it
  Axes taken_;  ///< of the shape at hand: axes that stand where they must, so nowhere else
};

/// "shape '[16, 2048, 32, 128]' is invalid for input of size 33554432": the tensor has 8 heads, not
/// 32.
void note_view(Reading& reading, const Captures& captures) {
  const auto n = captures.find("n"), shape = captures.find("shape");
  if (n == captures.end() || shape == captures.end()) return;
  const int64_t elements = n->second.front().value;
  for (const NumberAxis& number : reading.numbers) {
    int64_t others = 1;
    for (const Captured& each : shape->second) others *= std::max<int64_t>(1, each.value);
    if (number.value <= 1 || others % number.value != 0) continue;
    others /= number.value;
    const bool axis_of_heads =
        axis_kind(number.axis) == AxisKind::heads || axis_kind(number.axis) == AxisKind::tokens;
    if (!axis_of_heads || elements % others != 0 || elements / others == number.value) continue;
    reading.notes.push_back(fmt::format(
        "The tensor has {} elements, so with the other axes as they are it has {} on the axis "
        "{}{}.",
        elements, elements / others, number.words(),
        number.axis == "num_heads" && number.value % (elements / others) == 0
            ? fmt::format(": keys or values with num_kv_heads={} were viewed as num_heads",
                          elements / others)
            : ""));
    return;
  }
}

/// Axes whose elements are tokens or sequences: what can be counted twice.
bool is_counted(std::string_view axis) {
  const AxisKind kind = axis_kind(axis);
  return is_length(axis) || kind == AxisKind::batch || kind == AxisKind::with_memory ||
         axis.find("tokens") != axis.npos || axis.starts_with("batch");
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
    {"{more} is twice {less}: the tokens (or the batch) are counted twice on one side",
     [](int64_t more, int64_t less) { return less > 1 && more == 2 * less; }},
};

/// Sizes of one axis, or two lengths, that differ in a telling way.
void note_relation(Reading& reading) {
  for (const NumberAxis& x : reading.numbers)
    for (const NumberAxis& y : reading.numbers)
      if ((x.axis == y.axis || (is_length(x.axis) && is_length(y.axis))) && is_counted(x.axis) &&
          x.value > y.value && y.value > 1)
        for (const Relation& relation : kRelations)
          if (relation.holds(x.value, y.value)) {
            std::string words(relation.words);
            words.replace(words.find("{more}"), 6, std::to_string(x.value));
            words.replace(words.find("{less}"), 6, std::to_string(y.value));
            reading.notes.push_back("For " + x.axis + ", " + words + ".");
            return;
          }
}

/// CUDA's limit for the second and third size of a grid.
constexpr int64_t kMostBlocks = 65535;

void note_grid(Reading& reading) {
  if (reading.pattern != "launch-configuration") return;
  for (const KnownSize& size : reading.known)
    if (size.value > kMostBlocks) {
      reading.numbers.push_back({"", size.value, size.axis, size.of, "its value"});
      reading.notes.push_back(fmt::format(
          "{}={} is more than {}, the most that the second and third size of a launch grid can be.",
          size.axis, size.value, kMostBlocks));
    }
}

const TextPattern* match(std::string_view text, Captures& captures, std::string_view& core) {
  for (const auto& table : text_patterns())
    for (const TextPattern& row : table)
      if (auto found = match_text(row.pattern, text, &core)) {
        captures = std::move(*found);
        return &row;
      }
  return nullptr;
}

/// Views and einsums say their axes themselves.
bool needs_operation(std::string_view axes) {
  return axes.find('@') != axes.npos && axes.find("@view") == axes.npos &&
         axes.find("@letter") == axes.npos;
}

NamedCaptures named(const Reading& reading, const Captures& captures) {
  NamedCaptures all;
  for (const auto& [key, list] : captures)
    for (const Captured& captured : list) all[key].push_back({captured.value, {}});
  std::map<std::string, size_t, std::less<>> at;
  for (const NumberAxis& number : reading.numbers)
    if (const auto list = all.find(number.capture); list != all.end() && !number.axis.empty())
      list->second[at[number.capture]++].names = {number.axis};
    else
      ++at[number.capture];
  return all;
}

}  // namespace

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
  std::vector<const NumberAxis*> in_order;
  for (const NumberAxis& number : numbers)
    if (!number.capture.empty() && !number.axis.empty()) in_order.push_back(&number);
  std::sort(in_order.begin(), in_order.end(),
            [](const NumberAxis* x, const NumberAxis* y) { return x->offset < y->offset; });
  std::string named;
  size_t from = 0;
  for (const NumberAxis* number : in_order) {
    named += core.substr(from, number->offset - from);
    from = number->offset;
    if (from == 0 || core[from - 1] != '=') named += number->axis + "=";
  }
  return named + core.substr(from);
}

Reading read_error(std::string_view raw, std::vector<KnownSize> known) {
  Reading reading;
  reading.traceback = read_traceback(raw);
  reading.known = std::move(known);
  for (KnownSize& size : sizes_in(raw))
    if (!reading.size(size.axis)) reading.known.push_back(std::move(size));
  Captures captures;
  std::string_view core, text = reading.traceback.message;
  const TextPattern* row = match(text, captures, core);
  if (row == nullptr) row = match(text = reading.traceback.whole, captures, core);
  reading.core = row != nullptr ? std::string(core) : reading.traceback.message;
  if (row == nullptr) return reading;
  reading.pattern = row->name;
  const Operation* shown = find_operation(reading.traceback);
  const Operation& operation = shown != nullptr ? *shown : likely_operation(row->name);
  if (needs_operation(row->axes)) {
    reading.operation = operation.name;
    reading.assumed = shown == nullptr;
  }
  Namer namer(reading, operation);
  for (const std::string& rule : split(row->axes, ' '))
    namer.name(rule, captures, static_cast<size_t>(core.data() - text.data()));
  note_view(reading, captures);
  note_relation(reading);
  note_grid(reading);
  reading.cause = word_cause(*row, named(reading, captures));
  reading.pattern = reading.cause->name;
  return reading;
}

}  // namespace attnfuzz::triage
