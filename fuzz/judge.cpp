#include "fuzz/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/elements.h"
#include "fuzz/fault_check.h"
#include "fuzz/properties.h"
#include "fuzz/signature.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool same_finiteness(double got, double want) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
  return std::isfinite(got) ? std::isfinite(want) : got == want;
}

/// Of each step, and of each of its wanted_outputs().
using Elements = std::vector<std::vector<std::vector<double>>>;

/// Of the first `steps` steps, whose outputs are known to have the wanted shapes.
Elements elements_of(const Case& c, const Answer& right, const Outcome& outcome, size_t steps) {
  Elements all(steps);
  for (size_t s = 0; s < all.size(); ++s)
    for (const WantedOutput& want : wanted_outputs(c, right.steps[s]))
      all[s].push_back(judged_values(c, want, *given_output(outcome.steps[s], want.output)));
  return all;
}

/// Calls visit(wanted output, step, its values as they were got) for all that was got.
template <class Visit>
void for_each_output(const Case& c, const Answer& right, const Elements& got, Visit visit) {
  for (size_t s = 0; s < got.size(); ++s) {
    const std::vector<WantedOutput> wanted = wanted_outputs(c, right.steps[s]);
    for (size_t k = 0; k < wanted.size(); ++k) visit(wanted[k], s, got[s][k]);
  }
}

Verdict fail(FailureKind kind, std::string detail) {
  Verdict verdict;
  verdict.kind = VerdictKind::fail;
  verdict.failure = kind;
  verdict.detail = std::move(detail);
  return verdict;
}

/// What a run that did not end well is called; the error's text is the detail.
Verdict judge_status(const Outcome& outcome) {
  struct Row {
    Status status;
    FailureKind kind;
  };
  static constexpr Row table[] = {{Status::error, FailureKind::error},
                                  {Status::crash, FailureKind::crash},
                                  {Status::timeout, FailureKind::timeout},
                                  {Status::memory, FailureKind::memory}};
  for (const Row& row : table)
    if (row.status == outcome.status) {
      Verdict failed = fail(row.kind, outcome.text);
      failed.steps = outcome.steps.size() + 1;
      return failed;
    }
  Verdict verdict;
  verdict.kind = VerdictKind::skip;
  verdict.detail = outcome.text;
  return verdict;
}

std::string at_step(const Case& c, size_t step) {
  return c.cached() ? fmt::format("step {}: ", step) : std::string();
}

/// What is wrong with all but the values of an output.
struct Frame {
  std::string words;       ///< empty: nothing
  std::string dedup_text;  ///< as Verdict's
};

/// The first row of which a target says something else than is right; no words: none, or it does
/// not say. {} in `says` is what it says, and tells one bug from another; what is right does not.
Frame wrong_rows(std::string_view what, std::string_view says, const std::vector<int64_t>& got,
                 const std::vector<int64_t>& want) {
  if (got.empty() || got == want) return {};
  if (got.size() != want.size())
    return {fmt::format("{} of {} rows, expected {}", what, got.size(), want.size()), {}};
  const auto [wrong, right] = std::mismatch(got.begin(), got.end(), want.begin());
  std::string said = fmt::format(fmt::runtime(says), *wrong);
  std::string words = fmt::format("{}, expected {}", said, *right);
  return {std::move(words), std::move(said)};
}

Frame wrong_output(const Case& c, const StepAnswer& want, const StepOutput& got) {
  for (const WantedOutput& wanted : wanted_outputs(c, want)) {
    const Tensor* given = given_output(got, wanted.output);
    const std::string_view word = name(wanted.output);
    if (given == nullptr) return {fmt::format("no {} was given", word), {}};
    if (given->shape != *wanted.shape)
      return {
          fmt::format("{} has shape {}, expected {}", word, named_shape(c, wanted, given->shape),
                      named_shape(c, wanted, *wanted.shape)),
          wrong_axes(c, wanted, given->shape)};
    if (given->dtype != wanted.dtype)
      return {fmt::format("{} is {}, expected {}", word, name(given->dtype), name(wanted.dtype)),
              {}};
  }
  return {};
}

Frame wrong_frame(const Case& c, const StepAnswer& want, const StepOutput& got) {
  if (Frame wrong = wrong_output(c, want, got); !wrong.words.empty()) return wrong;
  if (Frame wrong =
          wrong_rows("lengths", "a row's cache holds {} tokens", got.lengths, want.lengths);
      !wrong.words.empty())
    return wrong;
  if (got.capacity && *got.capacity != want.capacity)
    return {fmt::format("the capacity is {} tokens, expected {}", *got.capacity, want.capacity),
            {}};
  return wrong_rows("positions", "a row's next token comes after {} positions", got.positions,
                    want.positions);
}

/// A step's output that is wrong in more than its values.
struct WrongFrame {
  size_t step;
  Frame frame;  ///< without words: none is, and `step` is how many there are
};

WrongFrame first_wrong_frame(const Case& c, const Answer& right, const Outcome& outcome) {
  const size_t steps = std::min(right.steps.size(), outcome.steps.size());
  for (size_t s = 0; s < steps; ++s)
    if (Frame frame = wrong_frame(c, right.steps[s], outcome.steps[s]); !frame.words.empty())
      return {s, {at_step(c, s) + frame.words, std::move(frame.dedup_text)}};
  if (outcome.status == Status::ok && outcome.steps.size() != right.steps.size())
    return {
        steps,
        {fmt::format("{} steps' outputs, expected {}", outcome.steps.size(), right.steps.size()),
         "another number of steps"}};
  return {steps, {}};
}

std::string describe(const Case& c, const Verdict& verdict) {
  const WorstElement& w = verdict.worst;
  return fmt::format("{}{} of {} elements are wrong; {} is {:.9g}, not {:.9g} ± {:.2g}",
                     at_step(c, static_cast<size_t>(w.step)), verdict.wrong, verdict.checked,
                     place_text(w), w.got, w.want, w.bound);
}

Verdict compare(const Case& c, const Answer& right, const Elements& got) {
  Verdict verdict;
  bool finiteness_differs = false;
  for_each_output(
      c, right, got, [&](const WantedOutput& wanted, size_t s, const std::vector<double>& values) {
        for (size_t e = 0; e < values.size(); ++e) {
          const double want = (*wanted.values)[e], bound = (*wanted.bound)[e];
          verdict.checked += bound < infinity;
          const double ratio = error_ratio(values[e], want, bound);
          const bool other_finiteness = ratio > 1 && !same_finiteness(values[e], want);
          verdict.wrong += ratio > 1;
          if (ratio > verdict.worst_ratio || (other_finiteness && !finiteness_differs)) {
            verdict.worst_ratio = ratio;
            if (ratio > 1) {
              verdict.worst = element_place(c, wanted, s, e);
              verdict.worst.got = values[e];
              verdict.worst.want = want;
              verdict.worst.bound = bound;
            }
          }
          finiteness_differs |= other_finiteness;
        }
      });
  if (verdict.wrong == 0) return verdict;
  verdict.kind = VerdictKind::fail;
  verdict.failure = finiteness_differs ? FailureKind::nan : FailureKind::mismatch;
  verdict.detail = describe(c, verdict);
  verdict.steps = static_cast<size_t>(verdict.worst.step) + 1;
  return verdict;
}

/// The output is within the bounds of `meant` where the case says what it should be, and `meant`
/// says something on each wrong element. `leaked`: where either is not finite it says nothing, as
/// targets differ in what they make of it.
bool has_meaning(const Case& c, const Answer& right, const Answer& meant, const Elements& got,
                 bool leaked = false) {
  if (meant.steps.size() != right.steps.size()) return false;
  bool fits = true;
  for_each_output(
      c, right, got, [&](const WantedOutput& wanted, size_t s, const std::vector<double>& values) {
        if (!fits) return;
        const std::vector<WantedOutput> all = wanted_outputs(c, meant.steps[s]);
        const auto other = std::find_if(all.begin(), all.end(), [&](const WantedOutput& each) {
          return each.output == wanted.output;
        });
        // Outputs that the other meaning does not have (the sinks' gradient without sinks) must be
        // right: nothing is said of them.
        const bool has_other = other != all.end() && *other->shape == *wanted.shape &&
                               other->values->size() == wanted.values->size();
        if (wanted.output == Output::out && !has_other) fits = false;
        for (size_t e = 0; fits && e < values.size(); ++e) {
          if ((*wanted.bound)[e] == infinity) continue;
          const bool wrong = error_ratio(values[e], (*wanted.values)[e], (*wanted.bound)[e]) > 1;
          const bool other_says = has_other && (*other->bound)[e] < infinity;
          if (leaked &&
              !(std::isfinite(values[e]) && other_says && std::isfinite((*other->values)[e])))
            continue;
          fits = other_says ? error_ratio(values[e], (*other->values)[e], (*other->bound)[e]) <= 1
                            : !wrong;
        }
      });
  return fits;
}

/// What the target says of its cache is what `meant` says, in every step.
bool has_frames(const Case& c, const Answer& meant, const Outcome& outcome) {
  if (outcome.status != Status::ok || outcome.steps.size() != meant.steps.size()) return false;
  for (size_t s = 0; s < meant.steps.size(); ++s)
    if (!wrong_frame(c, meant.steps[s], outcome.steps[s]).words.empty()) return false;
  return true;
}

/// Every output is there in its shape and dtype; what a cache says of itself may be wrong.
bool has_outputs_of(const Case& c, const Answer& right, const Outcome& outcome) {
  if (outcome.steps.size() != right.steps.size()) return false;
  for (size_t s = 0; s < right.steps.size(); ++s)
    if (!wrong_output(c, right.steps[s], outcome.steps[s]).words.empty()) return false;
  return true;
}

std::vector<const Fault*> meanings(const Case& c, const Inputs& inputs, const Precision& precision,
                                   Among among, const auto& fits) {
  std::vector<const Fault*> all;
  for (const Fault& fault : faults()) {
    if (among != nullptr && std::find(among->begin(), among->end(), fault.name) == among->end())
      continue;
    if (const std::optional<Answer> other = faulty_answer(fault, c, inputs, precision))
      if (fits(*other)) all.push_back(&fault);
  }
  return all;
}

/// Whether an outcome has anything to hold against the answer: an error may have come late.
bool has_outputs(const Outcome& outcome) {
  return outcome.status == Status::ok ||
         (outcome.status != Status::declined && !outcome.steps.empty());
}

/// The first violation counts, step by step: what is wrong later may follow from it. Without what
/// the outcome means.
Verdict judge_against(const Answer& right, const Case& c, const Outcome& outcome) {
  if (!has_outputs(outcome)) return judge_status(outcome);
  WrongFrame wrong = first_wrong_frame(c, right, outcome);
  Verdict verdict = compare(c, right, elements_of(c, right, outcome, wrong.step));
  if (verdict.failed()) return verdict;
  if (!wrong.frame.words.empty()) {
    Verdict shape = fail(FailureKind::shape, std::move(wrong.frame.words));
    shape.dedup_text = std::move(wrong.frame.dedup_text);
    shape.steps = wrong.step + 1;
    return shape;
  }
  return outcome.status == Status::ok ? verdict : judge_status(outcome);
}

/// Looks for what a wrong outcome means. Of a long case it does not: each of hundreds of meanings
/// costs as much as the reference, and shrinking soon leads to a short one.
void find_meanings(Verdict& verdict, const Answer& right, const Case& c, const Inputs& inputs,
                   const Precision& precision, const Outcome& outcome, Among among) {
  if (is_long(c)) return;
  if (verdict.failure == FailureKind::mismatch || verdict.failure == FailureKind::nan) {
    const Elements got = elements_of(c, right, outcome, first_wrong_frame(c, right, outcome).step);
    verdict.fits = meanings(c, inputs, precision, among, [&](const Answer& meant) {
      return has_meaning(c, right, meant, got, verdict.leaked);
    });
    if (!verdict.fits.empty() && verdict.fits.front()->name.ends_with("-ignored"))
      verdict.failure = FailureKind::ignored;
  } else if (verdict.failure == FailureKind::shape && has_outputs_of(c, right, outcome)) {
    const Elements got = elements_of(c, right, outcome, right.steps.size());
    verdict.fits = meanings(c, inputs, precision, among, [&](const Answer& meant) {
      return has_frames(c, meant, outcome) && has_meaning(c, right, meant, got);
    });
  }
}

/// Whether a NaN may be one of hidden keys.
bool may_have_leaked(const Case& c, const Verdict& verdict) {
  constexpr NonFinite hidden[] = {NonFinite::nan_padding, NonFinite::inf_padding,
                                  NonFinite::nan_hidden, NonFinite::inf_hidden};
  return verdict.failed() && verdict.failure == FailureKind::nan &&
         std::ranges::find(hidden, c.data.nonfinite) != std::end(hidden);
}

/// What the target does with finite data in the place of what is hidden. Constant data would not
/// show it: every token is like any other there.
Verdict verdict_of_finite(Target& target, Case c, Among among) {
  c.data.nonfinite = NonFinite::none;
  if (c.data.dist == Distribution::constant) c.data.dist = Distribution::normal;
  return examine(target, c, false, among).verdict;
}

}  // namespace

Verdict judge(const Case& c, const Inputs& inputs, const Precision& precision,
              const Outcome& outcome, Among among) {
  const Answer right = has_outputs(outcome) ? answer(c, inputs, precision) : Answer{};
  Verdict verdict = judge_against(right, c, outcome);
  verdict.leaked = may_have_leaked(c, verdict);  // the target can't be asked
  if (verdict.failed() && !verdict.leaked)
    find_meanings(verdict, right, c, inputs, precision, outcome, among);
  return verdict;
}

FaultCheck::FaultCheck(const Case& c, const Inputs& inputs, const Precision& precision,
                       const Outcome& outcome)
    : c_(c),
      inputs_(inputs),
      precision_(precision),
      outcome_(outcome),
      right_(answer(c, inputs, precision)) {
  passes_ = !judge_against(right_, c, outcome).failed();
  const WrongFrame wrong = first_wrong_frame(c, right_, outcome);
  got_ = elements_of(c, right_, outcome, wrong.step);
  const Verdict values = compare(c, right_, got_);
  framed_ = wrong.frame.words.empty() || values.failed();
  leaked_ = may_have_leaked(c, values);
  if (!framed_ && has_outputs_of(c, right_, outcome))
    got_ = elements_of(c, right_, outcome, right_.steps.size());
}

bool FaultCheck::predicts(const Fault& fault) const {
  const std::optional<Answer> meant = faulty_answer(fault, c_, inputs_, precision_);
  if (!meant) return passes_;
  if (framed_) return has_meaning(c_, right_, *meant, got_, leaked_);
  return got_.size() == right_.steps.size() && has_frames(c_, *meant, outcome_) &&
         has_meaning(c_, right_, *meant, got_);
}

Examination examine(Target& target, const Case& c, bool properties, Among among) {
  const TargetInfo& about = target.info();
  const Precision precision = about.capabilities.precision_of(c.problem.dtype);
  const Inputs inputs = make_inputs(c);
  Examination done;
  done.precision = precision;
  done.outcome = target.run(c, inputs);
  const Answer right = has_outputs(done.outcome) ? answer(c, inputs, precision) : Answer{};
  done.verdict = judge_against(right, c, done.outcome);
  std::vector<std::string> of_finite;
  if (may_have_leaked(c, done.verdict)) {
    const Verdict finite = verdict_of_finite(target, c, among);
    done.verdict.leaked = !finite.failed() || finite.failure != FailureKind::nan;
    for (const Fault* fit : finite.fits) of_finite.emplace_back(fit->name);
    if (done.verdict.leaked) among = &of_finite;
  }
  if (done.verdict.failed())
    find_meanings(done.verdict, right, c, inputs, precision, done.outcome, among);
  if (properties && done.verdict.kind == VerdictKind::pass) {
    std::string broken = broken_property(target, c, inputs, right, done.outcome);
    if (!broken.empty()) done.verdict = fail(FailureKind::nondeterminism, std::move(broken));
  }
  if (done.verdict.failed()) done.signature = signature(about.name, c, done.verdict);
  return done;
}

}  // namespace attnfuzz
