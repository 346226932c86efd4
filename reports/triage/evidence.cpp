#include "reports/triage/evidence.h"

#include <algorithm>

#include "reports/triage/letters.h"
#include "reports/triage/models.h"
#include "reports/triage/number_words.h"
#include "reports/triage/parameters.h"
#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

struct Phrase {
  std::string_view words;  ///< in lower case
  Form form;
  double weight;
};
/// Hints, no gates: a text without any of these is read by its shapes alone.
constexpr Phrase kPhrases[] = {
    {"must match the size of tensor", Form::elementwise, 3},
    {"could not broadcast input array", Form::copy, 5},
    {"must match the size of tensor", Form::matmul, 2},
    {"must match the size of tensor", Form::copy, 1.5},
    {"mat1 and mat2", Form::matmul, 5},
    {"broadcast", Form::elementwise, 1.5},
    {"incompatible shapes", Form::elementwise, 1},
    {"where", Form::elementwise, .3},
    {"addv2", Form::elementwise, 2},
    {"op:add", Form::elementwise, 2},
    {"op:mul", Form::elementwise, 2},
    {"op:select", Form::elementwise, 2},
    {"running add node", Form::elementwise, 2},
    {"running mul node", Form::elementwise, 2},
    {"can_repeat", Form::elementwise, 2},
    {"elementwise", Form::elementwise, 2},
    {"in add", Form::elementwise, 1},
    {"in mul", Form::elementwise, 1},
    {"in sub", Form::elementwise, 1},
    {"make_shape_compatible", Form::elementwise, 2},
    {"expanded size", Form::expand, 4},
    {"expand(", Form::expand, 3},
    {"expand ", Form::expand, 1},
    {"broadcast_to", Form::expand, 1.5},
    {"requested shape", Form::expand, 1},
    {"cannot be expanded", Form::expand, 3},
    {"cannot broadcast", Form::expand, 1.5},
    {"except in dimension", Form::concat, 4},
    {"concat", Form::concat, 3},
    {"tensor number", Form::concat, 2},
    {"stack expects", Form::concat, 3},
    {"cat(", Form::concat, 2},
    {"in cat", Form::concat, 3},
    {"is invalid for input of size", Form::view, 5},
    {"reshape", Form::view, 3},
    {"cannot view", Form::view, 3},
    {"view size", Form::view, 3},
    {"total size", Form::view, 2},
    {"number of elements", Form::view, 2},
    {"cannot be multiplied", Form::matmul, 4},
    {"matmul", Form::matmul, 3},
    {"dot_general", Form::matmul, 3},
    {"contract", Form::matmul, 3},
    {"in[0]", Form::matmul, 3},
    {"mul_mat", Form::matmul, 4},
    {"gemm", Form::matmul, 3},
    {"inner dim", Form::matmul, 3},
    {"core dimension", Form::matmul, 4},
    {"batch2", Form::matmul, 4},
    {"bmm", Form::matmul, 3},
    {"multiply", Form::matmul, 1.5},
    {"m1:", Form::matmul, 4},
    {"dot", Form::matmul, .5},
    {"reduction dim", Form::matmul, 4},
    {"einsum", Form::einsum, 4},
    {"subscript", Form::einsum, 3},
    {"expected", Form::equal, 1},
    {"should be", Form::equal, 1.5},
    {"must be", Form::equal, 1},
    {"must have", Form::equal, 1.5},
    {"must match", Form::equal, .5},
    {"should have", Form::equal, 1.5},
    {"the same", Form::equal, 1},
    {"mismatch", Form::equal, .8},
    {"!=", Form::equal, 1},
    {"==", Form::equal, 1},
    {"<>", Form::equal, 1},
    {"doesn't match", Form::equal, 1},
    {"does not match", Form::equal, 1},
    {"invalid shape", Form::equal, 1},
    {"inconsistent", Form::equal, 1},
    {"not equal", Form::equal, 1},
    {"was created for", Form::equal, 3},
    {"unsupported", Form::equal, .5},
    {"copying a param", Form::equal, 4},
    {"size mismatch for", Form::equal, 3},
    {"exceed", Form::limit, 4},
    {"longer than", Form::limit, 3},
    {"greater than", Form::limit, 2},
    {"too long", Form::limit, 3},
    {"larger than", Form::limit, 2},
    {"at most", Form::limit, 3},
    {"only supports", Form::limit, 2},
    {"only support", Form::limit, 2},
    {"maximum", Form::limit, 1},
    {"<=", Form::limit, 2},
    {"less than", Form::limit, 1.5},
    {"up to", Form::limit, 2},
    {"is only", Form::limit, 2},
    {"divisible", Form::divide, 5},
    {"multiple of", Form::divide, 4},
    {"power of 2", Form::divide, 4},
    {"power of two", Form::divide, 4},
    {"must divide", Form::divide, 4},
    {" % ", Form::divide, 3},
    {"indexed tensor", Form::index, 5},
    {"boolean index", Form::index, 5},
    {"out of bounds", Form::index, 4},
    {"out of range", Form::index, 3},
    {"index_copy", Form::copy, 4},
    {"copy", Form::copy, 1},
    {"into shape", Form::copy, 2},
    {"indexing result", Form::copy, 3},
    {"slice", Form::copy, 1},
    {"output with shape", Form::elementwise, 3},
    {"update", Form::copy, .7},
    {"append", Form::copy, 1},
};

/// Phrases that only some tensors have.
struct RolePhrase {
  std::string_view words;  ///< in lower case
  Role role;
  double strength;
};
constexpr RolePhrase kRolePhrases[] = {
    {"mat1 and mat2", Role::weight, 1.2}, {"mat1 and mat2", Role::hidden, .8},
    {"linear(", Role::weight, .8},        {"lora", Role::weight, 1},
    {"batch2 tensor", Role::k, .5},       {"block table", Role::table, .98},
    {"page table", Role::table, .98},
};

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char x) { return x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x; });
  return out;
}

void raise(double& to, double value) {
  to = std::max(to, value);
}

void add_size(Evidence& evidence, const AxisGuess& guess, int64_t value, double weight) {
  evidence.facts.push_back(
      {guess.axis, value, Role::none, weight * guess.strength, guess.any_length});
}

/// The name right before the end: "num_heads" of "self.num_heads".
std::string_view name_at_end(std::string_view text) {
  size_t from = text.size();
  while (from > 0 && is_word(text[from - 1])) --from;
  return text.substr(from);
}

std::string_view without_end(std::string_view text, std::string_view characters) {
  while (!text.empty() && characters.find(text.back()) != characters.npos) text.remove_suffix(1);
  return text;
}

/// The words around a number that is no part of a shape: "num_heads=8", "8 heads", "head_dim 64".
void add_number_fact(Evidence& evidence, const Mention& mention, double weight) {
  const int64_t value = mention.sizes[0].value;
  if (value <= 0) return;
  std::string_view before = without_end(mention.before, " \"'");
  if (!before.empty() && (before.back() == '=' || before.back() == ':')) {
    before = without_end(before, "=: \"'");
    // "attention.head_count u32 = 32": the type stands between.
    static constexpr std::string_view types[] = {"u32", "i32",   "u64",  "i64",
                                                 "int", "int32", "int64"};
    const std::string_view last = name_at_end(before);
    if (std::find(std::begin(types), std::end(types), last) != std::end(types))
      before = without_end(before.substr(0, before.size() - last.size()), " :");
    const AxisGuess guess = axis_of(name_at_end(before));
    if (guess.axis != Axis::none) return add_size(evidence, guess, value, weight);
  }
  constexpr double behind = .8, ahead = .6, code = .9;
  // A name of code right before it: "--num_attention_heads 32", "head_dim 128".
  const std::string_view name = name_at_end(before);
  if (name.find('_') != name.npos)
    if (const AxisGuess guess = axis_of(name); guess.axis != Axis::none)
      return add_size(evidence, guess, value, weight * code);
  if (const AxisGuess guess = axis_counted(mention.after); guess.axis != Axis::none)
    return add_size(evidence, guess, value, weight * behind);
  const size_t cut = before.find_last_of(".,;()[]\n");
  const AxisGuess guess = axis_of(cut == before.npos ? before : before.substr(cut + 1));
  if (guess.axis != Axis::none) add_size(evidence, guess, value, weight * ahead);
}

/// "12 and 2 heads", "24 Q / 4 KV heads", "32/8 heads": of queries and of keys.
void add_head_pair(Evidence& evidence, const Mention& first, const Mention& second, double weight) {
  const int64_t more = first.sizes[0].value, less = second.sizes[0].value;
  if (less <= 0 || more < less || more % less != 0) return;
  const std::vector<std::string> between = words_of(second.before), after = words_of(second.after);
  const bool joined =
      between.empty() ? second.before.find('/') != std::string::npos
                      : std::all_of(between.begin(), between.end(), [](const std::string& word) {
                          return word == "and" || word == "q" || word == "query";
                        });
  const bool heads = std::any_of(
      after.begin(), after.begin() + static_cast<ptrdiff_t>(std::min<size_t>(2, after.size())),
      [](const std::string& word) { return word == "heads" || word == "kv"; });
  if (!joined || !heads) return;
  evidence.facts.push_back({Axis::num_heads, more, Role::none, weight, false});
  evidence.facts.push_back({Axis::num_kv_heads, less, Role::none, weight, false});
}

void add_line(Evidence& evidence, const std::string& line, size_t number, double weight) {
  std::string_view names = line;
  each_name(names, [&](std::string_view name) {
    if (name.size() < 2 && name != "q" && name != "k" && name != "v") return;
    const RoleGuess guess = role_of(name);
    if (guess.role != Role::none)
      raise(evidence.roles[static_cast<size_t>(guess.role)], weight * guess.strength);
  });
  if (const RoleGuess whole = role_of(line); whole.role == Role::table)  // "block table", two words
    raise(evidence.roles[static_cast<size_t>(Role::table)], weight * whole.strength);
  const std::string digits = with_digits(line);
  const std::vector<Mention> mentions = mentions_in(digits);
  for (size_t k = 0; k < mentions.size(); ++k) {
    const Mention& mention = mentions[k];
    if (mention.kind == Mention::Kind::shape && mention.sizes.size() > 1) {
      evidence.shapes.push_back({mention, label_before(mention.before), number});
      // Whatever it is, its first axis is mostly the rows.
      if (mention.sizes[0].value > 1 && evidence.shapes.back().role.strength < .6)
        evidence.facts.push_back({Axis::batch, mention.sizes[0].value, Role::none, .55, false});
    } else if (mention.kind == Mention::Kind::size) {
      const double trust = weight > .5 ? .9 : .7;
      const size_t count = evidence.facts.size();
      if (k + 1 < mentions.size() && mentions[k + 1].kind == Mention::Kind::size)
        add_head_pair(evidence, mention, mentions[k + 1], trust);
      if (evidence.facts.size() != count)
        ++k;
      else
        add_number_fact(evidence, mention, trust);
    }
  }
}

}  // namespace

RoleGuess label_before(std::string_view before) {
  // Words that are no names of tensors: an operation's own "output with shape".
  static constexpr std::string_view none[] = {"output with shape", "input shape", "output shape",
                                              "input tensor shape"};
  std::string lower = lowered(before);
  for (const std::string_view words : none)
    if (const size_t at = lower.rfind(words); at != lower.npos) {
      before.remove_prefix(at + words.size());
      lower.erase(0, at + words.size());
    }
  while (!before.empty() && std::string_view(" =:([{'\"`,*").find(before.back()) != before.npos)
    before.remove_suffix(1);
  // The nearest clause that names a tensor.
  while (!before.empty()) {
    const size_t cut = before.find_last_of(",;:`\n[]){}");
    const RoleGuess role = role_of(cut == before.npos ? before : before.substr(cut + 1));
    if (role.role != Role::none) return role;
    if (cut == before.npos || before[cut] != ':') break;
    before = before.substr(0, cut);
  }
  return {};
}

/// The first quoted pattern of einsum or einops.
void find_pattern(Evidence& evidence, std::string_view text) {
  for (size_t from = text.find_first_of("\"'`"); from != text.npos;
       from = text.find_first_of("\"'`", from + 1)) {
    const size_t to = text.find(text[from], from + 1);
    if (to == text.npos) return;
    evidence.pattern = axes_of_pattern(text.substr(from + 1, to - from - 1));
    if (!evidence.pattern.empty()) return;
  }
  // "einsum BTNH,BSNH->BNTS", as people write it.
  if (const size_t at = text.find("einsum "); at != text.npos) {
    const std::string_view rest = text.substr(at + 7);
    evidence.pattern = axes_of_pattern(rest.substr(0, rest.find_first_of(" \n")));
  }
}

std::array<double, static_cast<size_t>(Form::count)> forms_of(std::string_view message) {
  std::array<double, static_cast<size_t>(Form::count)> forms{};
  const std::string text = lowered(message);
  for (const Phrase& phrase : kPhrases)
    if (text.find(phrase.words) != text.npos)
      raise(forms[static_cast<size_t>(phrase.form)], phrase.weight);
  return forms;
}

/// Whether the text, in lower case, speaks of fewer heads with keys than heads.
bool speaks_of_groups(std::string_view text) {
  static constexpr std::string_view words[] = {
      "gqa",      "grouped quer", "grouped-quer", "num_kv_heads", "key_value_heads",
      "kv heads", "kv_heads",     "key heads",    "n_kv_head",    "repeat_kv",
      "kv head",  "multi-query",  "multi_query",  "num_kv_head",  "key and value heads"};
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return text.find(word) != text.npos; });
}

Evidence gather(const Traceback& traceback, const std::vector<KnownSize>& known) {
  Evidence evidence;
  evidence.parameters = parameter_layouts(traceback.message);
  if (evidence.parameters.empty()) {
    evidence.parameters = projection_layouts(traceback.whole);
    evidence.parameters_near = !evidence.parameters.empty();
  }
  evidence.forms = forms_of(traceback.error + ": " + traceback.message);
  for (const KnownSize& size : known) {
    const Axis axis = axis_named(size.axis);
    if (axis != Axis::none)
      evidence.facts.push_back(
          {axis, size.value, size.of.empty() ? Role::none : Role::mask, 1, false});
  }
  for (const ModelSize& size : model_sizes(traceback.whole))
    evidence.facts.push_back({size.axis, size.value, Role::none, size.weight, false});
  evidence.grouped = speaks_of_groups(lowered(traceback.whole));
  for (const std::string& line : traceback.lines)
    for (StatedLayout& layout : layouts_stated_in(line))
      evidence.stated.push_back(std::move(layout));
  for (const std::string& line : traceback.lines)
    if (evidence.pattern.empty() && line.find("->") != line.npos) find_pattern(evidence, line);
  evidence.tiles = lowered(traceback.whole).find("triton") != std::string::npos ||
                   traceback.whole.find("tl.") != std::string::npos;
  for (const std::string_view word : {"subscript ", "label '", "label \"", "index '"})
    if (const size_t at = traceback.message.find(word);
        at != std::string::npos && at + word.size() < traceback.message.size())
      evidence.letter = axis_of(std::string_view(traceback.message).substr(at + word.size(), 1));
  // From the message outwards: what stands nearest counts most.
  constexpr size_t most_lines = 200;
  size_t looked_at = 0;
  double near = 1;
  const auto look_at = [&](size_t k) {
    const std::string& line = traceback.lines[k];
    if (line.empty() || ++looked_at > most_lines) return;
    for (CodeOp& op : operations_in(line)) {
      op.line = looked_at;
      evidence.operations.push_back(std::move(op));
    }
    if (evidence.result_axes.empty())
      if (const size_t comment = line.find('#'); comment != line.npos)
        evidence.result_axes = axes_in_brackets(line.substr(comment + 1));
    add_line(evidence, line, k, near);
    near = std::max(.25, near * .85);
  };
  for (size_t k = traceback.message_begin; k-- > 0;) look_at(k);
  near = .5;
  for (size_t k = traceback.message_end; k < traceback.lines.size(); ++k) look_at(k);
  constexpr double elsewhere = .7;
  const std::string message = lowered(traceback.message), whole = lowered(traceback.whole);
  for (const RolePhrase& row : kRolePhrases)
    if (message.find(row.words) != message.npos)
      raise(evidence.roles[static_cast<size_t>(row.role)], row.strength);
    else if (whole.find(row.words) != whole.npos)
      raise(evidence.roles[static_cast<size_t>(row.role)], elsewhere * row.strength);
  if (!evidence.parameters.empty() && !evidence.parameters_near)
    raise(evidence.roles[static_cast<size_t>(Role::weight)], 1.5);
  each_name(traceback.message, [&](std::string_view name) {
    const RoleGuess guess = role_of(name);
    const bool common = guess.role == Role::out || guess.role == Role::hidden;  // "input", "output"
    if (guess.strength > .75 && name.size() > 1 && !common)
      raise(evidence.roles[static_cast<size_t>(guess.role)], guess.strength);
  });
  return evidence;
}

}  // namespace attnfuzz::triage
