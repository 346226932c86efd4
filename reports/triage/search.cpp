#include "reports/triage/search.h"

#include <algorithm>

#include "fuzz/draw.h"
#include "fuzz/error_text.h"
#include "fuzz/generate.h"
#include "fuzz/replayable.h"
#include "reports/causes/causes.h"
#include "reports/triage/axes.h"

namespace attnfuzz::triage {
namespace {

bool is_interrupted(const SearchOptions& options) {
  return options.interrupt != nullptr && *options.interrupt;
}

Finding start_finding(const Target& target, const Case& c, Examination examination) {
  return finding_of(target.info(), 0, 0, {c, std::move(examination)});
}

/// Sets the size that this name of named_sizes() stands for; false for one that is made of others.
bool set_size(Case& c, std::string_view name, int64_t value) {
  for (const ProblemSize& size : problem_sizes())
    if (size.name == name && !(c.cached() && (name == "q_len" || name == "kv_len"))) {
      c.problem.*size.member = value;
      return true;
    }
  if (name == "q_len" && !c.steps.empty()) {
    c.steps.front().q_len = value;
    return true;
  }
  if (name == "capacity" && c.cache) {
    c.cache->capacity = value;
    return true;
  }
  for (RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (name == std::string(use.spec->name) + "." + std::string(use.spec->params[k].name) &&
          use.spec->params[k].kind == RuleParam::Kind::integer) {
        use.values[k] = value;
        return true;
      }
  return false;
}

std::vector<int64_t> sizes_of(std::string_view text) {
  std::vector<int64_t> sizes;
  for (const TextNumber& number : numbers_in(text))
    if (number.role == TextNumber::Role::size) sizes.push_back(number.value);
  return sizes;
}

constexpr int64_t kMostElements = int64_t{1} << 22;

bool is_small(const Case& c) {
  const Problem& p = c.problem;
  return p.batch * p.num_heads * std::max(p.q_len, p.kv_len) *
             std::max({p.head_dim, p.head_dim_v, p.q_len}) <=
         kMostElements;
}

/// Whether each number of the reading that has an axis has it here too. `names`: those of each
/// number of `text`.
bool has_axes(const Reading& reading, std::string_view text,
              const std::vector<std::vector<std::string>>& names) {
  const std::string whole = text_template(text);
  const std::string before = whole.substr(0, whole.find(text_template(reading.core)));
  size_t at = 0;  // of the reading's first number among the text's
  for (size_t from = before.find("{}"); from != before.npos; from = before.find("{}", from + 2))
    ++at;
  for (const TextNumber& number : numbers_in(reading.core)) {
    if (number.role != TextNumber::Role::size) continue;
    const size_t k = at++;
    for (const NumberAxis& read : reading.numbers) {
      if (read.offset != number.offset || read.axis.empty() || read.value == 1) continue;
      const Axis axis = axis_named(read.axis);
      const auto is_it = [&](const std::string& name) {
        return name == read.axis || is_same_kind(axis, axis_named(name));
      };
      if (k >= names.size() || std::none_of(names[k].begin(), names[k].end(), is_it)) return false;
    }
  }
  return true;
}

bool has_axes(const Reading& reading, const Case& c, const std::string& text) {
  std::vector<std::vector<std::string>> names;
  for (NamedNumber& number : name_numbers(text, c)) names.push_back(std::move(number.names));
  return has_axes(reading, text, names);
}

bool has_axes(const Reading& reading, const Finding& finding) {
  std::vector<std::vector<std::string>> names;
  for (const NumberReading& number : finding.learned.numbers) names.push_back(number.names);
  return has_axes(reading, finding.last.outcome.text, names);
}

/// The shrunk case with the numbers of the reader's text in it, if it then says just that text.
std::optional<Case> with_numbers(Target& target, const Reading& reading, const Finding& finding) {
  const std::vector<int64_t> wanted = sizes_of(reading.core);
  const std::vector<NumberReading>& numbers = finding.learned.numbers;
  if (wanted.empty() || wanted.size() > numbers.size()) return std::nullopt;
  Case c = finding.shrunk.c;
  const bool square = c.problem.q_len == c.problem.kv_len;
  const bool one_head_size = c.problem.head_dim == c.problem.head_dim_v;
  const bool one_head_count = c.problem.num_heads == c.problem.num_kv_heads;
  for (size_t k = 0; k < wanted.size(); ++k)
    if (!numbers[k].names.empty()) set_size(c, numbers[k].names.front(), wanted[k]);
  if (square) c.problem.q_len = c.problem.kv_len = std::max(c.problem.q_len, c.problem.kv_len);
  if (one_head_size) c.problem.head_dim_v = c.problem.head_dim;
  if (one_head_count)
    c.problem.num_kv_heads = c.problem.num_heads =
        std::max(c.problem.num_heads, c.problem.num_kv_heads);
  if (!is_valid(c) || !is_small(c) || !target.info().capabilities.rejection_reason(c).empty())
    return std::nullopt;
  const Examination examination = examine(target, c);
  if (!examination.verdict.failed() || !same_complaint(reading, examination.outcome.text))
    return std::nullopt;
  const std::vector<int64_t> got = sizes_of(dedup_text(examination.outcome.text));
  const bool same = got.size() >= wanted.size() &&
                    std::search(got.begin(), got.end(), wanted.begin(), wanted.end()) != got.end();
  return same ? std::optional(c) : std::nullopt;
}

/// A text without numbers is known by its words: one pattern of reports/causes/ matches both.
bool matches_same_pattern(const Reading& reading, const std::string& text) {
  for (const auto& table : text_patterns())
    for (const TextPattern& row : table)
      if (match_text(row.pattern, reading.traceback.message) && match_text(row.pattern, text))
        return true;
  return false;
}

}  // namespace

bool same_complaint(const Reading& reading, const std::string& text) {
  const std::string wanted = text_template(reading.core);
  if (!wanted.empty() && text_template(text).find(wanted) != std::string::npos) return true;
  return reading.numbers.empty() && matches_same_pattern(reading, text);
}

Search search(Target& target, const Reading& reading, const SearchOptions& options) {
  Search result;
  result.target = target.info().name;
  result.version = target.info().version;
  /// Takes the case if it raises the text and none has yet, or none with the axes that were read.
  const auto take = [&](const Case& c, const std::string& why, uint64_t seed, uint64_t index) {
    Examination examination = examine(target, c);
    if (!examination.verdict.failed()) return;
    if (!same_complaint(reading, examination.outcome.text)) {
      ++result.other_failures;
      return;
    }
    result.same_axes = has_axes(reading, c, examination.outcome.text);
    if (result.finding && !result.same_axes) return;
    result.finding = start_finding(target, c, std::move(examination));
    result.finding->seed = seed;
    result.finding->index = index;
    result.why = why;
  };
  for (const Proposal& proposal : propose(reading, target.info().capabilities)) {
    if (is_interrupted(options)) return result;
    ++result.proposals;
    take(proposal.c, proposal.why, 0, 0);
    if (result.same_axes) break;
  }
  const Generator generator(target.info().capabilities);
  for (uint64_t index = 0; index < options.cases && !result.same_axes; ++index) {
    if (is_interrupted(options)) break;
    ++result.generated;
    take(generator(*seeded_draw(options.seed, index)), "", options.seed, index);
  }
  if (result.finding) {
    shrink_replayable(target, *result.finding,
                      {options.max_shrink_tries, stop_at(options.interrupt)});
    result.same_axes = has_axes(reading, *result.finding);
    result.same_numbers = with_numbers(target, reading, *result.finding);
  }
  return result;
}

}  // namespace attnfuzz::triage
