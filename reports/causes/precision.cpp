#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "oracle/inputs.h"
#include "reports/causes/causes.h"
#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry entries[] = {
    {"lower-precision",
     "The output is as right as a lower precision than the declared one can make it."},
    {"output-truncated",
     "Every element is the right one rounded towards zero: the output is truncated to its type "
     "instead of being rounded to nearest."},
    {"weights-flushed",
     "The output is right but for weights (of scores far below the largest) and products that are "
     "smaller than the smallest normal number and become zero: the target does not declare that it "
     "flushes them (`flush_subnormals`)."},
};

/// A part of the computation that may be done in a lower precision than is declared.
struct Fallback {
  std::string_view words;  ///< {}: the type
  DType type;
  void (*apply)(Precision&, DType);
};
void only_p(Precision& p, DType type) {
  p.p = type;
}
void only_scores(Precision& p, DType type) {
  p.scores = type;
}
void all(Precision& p, DType type) {
  p.accumulate = p.p = type;
  p.scores = type;
}
constexpr std::string_view p_words = "the weights are rounded to {}",
                           score_words = "scores (or the scaled q, or cached keys) are kept in {}",
                           all_words =
                               "some step (the scale, the scores, weights, a sum, rope) is "
                               "computed in {} or as badly";
/// The narrowest that explains comes first.
constexpr Fallback fallbacks[] = {
    {all_words, DType::f32, all},
    {p_words, DType::f16, only_p},
    {score_words, DType::f16, only_scores},
    {p_words, DType::bf16, only_p},
    {score_words, DType::bf16, only_scores},
    {all_words, DType::f16, all},
    {all_words, DType::bf16, all},
};

double largest_value(const Case& c) {
  double largest = 0;
  const Inputs inputs = make_inputs(c);
  for (const auto& [name, tensor] : inputs.all())
    if (name.starts_with('v') || name == "mem_v")
      for (const double x : tensor.to_doubles())
        if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  return largest;
}

/// Whether errors are as large as roundings of the type are: a bound for the worst case lets a
/// small problem's output, or a long row's, be anything. Roundings of weights are as independent of
/// each other as the values that are weighed, so that both average out alike and an output's errors
/// stay a few roundings of a typical output. Gradients are differences of larger sums: theirs are
/// held against the values that are weighed. Large scores make large errors of small ones, so that
/// data which gives such tells nothing.
bool of_that_size(const std::vector<ElementError>& errors, Output output, DType type,
                  const Case& c) {
  if (c.data.dist == Distribution::large || c.data.dist == Distribution::huge) return true;
  const double allowed = 16 * unit_roundoff(type);
  double count = 0, squares = 0, wanted = 0, largest = largest_value(c);
  for (const ElementError& e : errors) {
    if (!std::isfinite(e.got) || !std::isfinite(e.want)) continue;
    ++count;
    squares += (e.got - e.want) * (e.got - e.want);
    wanted += e.want * e.want;
    largest = std::max(largest, std::abs(e.want));
  }
  return squares <=
         allowed * allowed * (output == Output::out ? wanted : largest * largest * count);
}

bool right_with(const Precision& precision, DType type, const Case& c, Examination examination) {
  examination.precision = precision;
  const std::vector<ElementError> errors = element_errors(c, examination);
  return !errors.empty() && std::none_of(errors.begin(), errors.end(), [](const ElementError& e) {
    return e.wrong();
  }) && of_that_size(errors, examination.verdict.worst.output, type, c);
}

/// The shrunk case and, where it gave an output, the original.
bool explains(const Precision& precision, DType type, const Finding& finding) {
  return right_with(precision, type, finding.shrunk.c, finding.last) &&
         (finding.first.outcome.steps.empty() ||
          right_with(precision, type, finding.original, finding.first));
}

Cause entry(size_t k) {
  return {std::string(entries[k].name), std::string(entries[k].words)};
}

Cause lower_precision(DType type, const Precision& declared, std::string_view words) {
  return {std::string(entries[0].name),
          fmt::format("The output is as right as {} arithmetic can make it, not {}, which the "
                      "target declares: {}.",
                      name(type), name(declared.accumulate),
                      fmt::format(fmt::runtime(words), name(type)))};
}

/// Whether some step has no wrong element though its queries have keys to weigh: what is computed
/// in a low precision throughout shows in every step.
bool spares_a_step(const Case& c, const Examination& examination) {
  std::map<int64_t, std::pair<int64_t, bool>> steps;  // elements, and whether one is wrong
  for (const ElementError& e : element_errors(c, examination)) {
    if (e.step == 0 && e.i == 0) continue;  // it may see its own token alone
    auto& [count, wrong] = steps[e.step];
    ++count;
    wrong = wrong || e.wrong();
  }
  return std::any_of(steps.begin(), steps.end(), [](const auto& step) {
    const auto& [count, wrong] = step.second;
    return count >= 8 && !wrong;
  });
}

/// No element is larger than it should be, and none is off by more than one step of its type.
bool truncated(const Finding& finding) {
  const double step = 2 * unit_roundoff(finding.original.problem.dtype);
  const std::vector<ElementError> errors = element_errors(finding.original, finding.first);
  return errors.size() > 2 && std::all_of(errors.begin(), errors.end(), [&](const ElementError& e) {
           const double more = std::abs(e.got) - std::abs(e.want);
           return more <= step / 64 * std::abs(e.want) && -more <= 1.1 * step * std::abs(e.want);
         });
}

}  // namespace

std::vector<Cause> causes_from_flushing(const Finding& finding) {
  Precision flushing = finding.last.precision;
  if (finding.last.verdict.failure != FailureKind::mismatch || flushing.flush_subnormals) return {};
  flushing.flush_subnormals = true;
  return explains(flushing, flushing.accumulate, finding) ? std::vector{entry(2)}
                                                          : std::vector<Cause>{};
}

std::vector<Cause> causes_from_precision(const Finding& finding) {
  const Verdict& verdict = finding.last.verdict;
  if (verdict.failure != FailureKind::mismatch) return {};
  if (truncated(finding)) return {entry(1)};
  // What is computed in a low precision throughout shows in many places; a mistake in some rows
  // alone is another one.
  const Verdict& first = finding.first.verdict;
  const bool many = verdict.wrong * 2 > verdict.checked || first.wrong * 2 > first.checked;
  if (spares_a_step(finding.shrunk.c, finding.last)) return {};
  const Precision& declared = finding.last.precision;
  const Fallback* found = nullptr;
  for (const Fallback& fallback : fallbacks) {
    if (unit_roundoff(fallback.type) <= unit_roundoff(declared.accumulate)) continue;
    if (fallback.apply == all && !many) continue;
    if (found != nullptr && fallback.type != found->type) continue;
    Precision lower = declared;
    fallback.apply(lower, fallback.type);
    if (!explains(lower, fallback.type, finding)) continue;
    // Which step it is, is said only where no other one would do as well.
    if (found != nullptr) return {lower_precision(fallback.type, declared, all_words)};
    found = &fallback;
    if (fallback.apply == all) break;
  }
  return found == nullptr ? std::vector<Cause>{}
                          : std::vector{lower_precision(found->type, declared, found->words)};
}

std::span<const CauseEntry> precision_table() {
  return entries;
}

}  // namespace attnfuzz
