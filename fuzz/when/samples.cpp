#include "fuzz/when/samples.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "fuzz/elements.h"
#include "fuzz/signature.h"
#include "oracle/answer.h"

namespace attnfuzz::when {
namespace {

bool is_of_values(FailureKind kind) {
  return kind == FailureKind::mismatch || kind == FailureKind::nan;
}

/// Outputs that have a row for each query.
bool has_queries(Output output) {
  return output == Output::out || output == Output::lse || output == Output::dq ||
         output == Output::dbias;
}

using QueryKey = std::tuple<int64_t, int64_t, int64_t, int64_t>;  ///< step, row, head, place

/// Whether each judged query of a case is right, in every output that has a row for it.
std::map<QueryKey, bool> wrong_queries(const Case& c, const Examination& done) {
  std::map<QueryKey, bool> wrong;
  const Answer right = answer(c, make_inputs(c), done.precision);
  for (size_t s = 0; s < std::min(right.steps.size(), done.outcome.steps.size()); ++s)
    for (const WantedOutput& wanted : wanted_outputs(c, right.steps[s])) {
      const Tensor* given = given_output(done.outcome.steps[s], wanted.output);
      if (!has_queries(wanted.output) || given == nullptr || given->shape != *wanted.shape ||
          given->dtype != wanted.dtype)
        continue;
      const std::vector<double> got = judged_values(c, wanted, *given);
      for (size_t e = 0; e < got.size(); ++e) {
        const double bound = (*wanted.bound)[e];
        const WorstElement at = element_place(c, wanted, s, e);
        bool& bad = wrong[{at.step, at.b, at.h, at.i}];
        bad |= error_ratio(got[e], (*wanted.values)[e], bound) > 1;
      }
    }
  return wrong;
}

/// Every n-th of them, so many at most.
std::vector<size_t> some(const std::vector<size_t>& all, size_t most) {
  std::vector<size_t> few;
  const size_t stride = 1 + (all.empty() ? 0 : (all.size() - 1) / most);
  for (size_t n = 0; n < all.size(); n += stride) few.push_back(all[n]);
  return few;
}

}  // namespace

Samples::Samples(Target& target, const Finding& finding)
    : target_(target),
      finding_(finding),
      by_query_(is_of_values(finding.last.verdict.failure) &&
                has_queries(finding.last.verdict.worst.output) &&
                !finding.original.problem.recurrent()),
      cached_(finding.original.cached()) {}

std::string_view Samples::units() const {
  return by_query_ ? "queries" : cached_ ? "steps" : "cases";
}

bool Samples::is_same(const Case& c, const Verdict& verdict) const {
  if (!verdict.failed()) return false;
  if (is_of_values(finding_.last.verdict.failure)) return is_of_values(verdict.failure);
  const FailureClass seen = classify(c, verdict);
  return seen.kind == finding_.learned.kind && seen.text == finding_.learned.text;
}

bool Samples::add(const Case& c) {
  if (!target_.info().capabilities.rejection_reason(c).empty()) return false;
  const std::vector<std::string> none;
  const Examination done = examine(target_, c, false, &none);
  ended_ += done.outcome.final ? 1 : 0;
  const bool passes = done.verdict.kind == VerdictKind::pass;
  if (!passes && !is_same(c, done.verdict)) return false;
  if (passes)
    ++passing_;
  else
    failing_.push_back(c);
  if (by_query_)
    add_queries(c, done);
  else
    add_steps(c, done.verdict);
  return true;
}

void Samples::add_queries(const Case& c, const Examination& done) {
  const std::map<QueryKey, bool> wrong = wrong_queries(c, done);
  const measure::Plan plan = measure::declared(c);
  int32_t last = INT32_MAX;  // what is wrong from then on may follow from it
  for (const auto& [key, bad] : wrong)
    if (bad) last = std::min(last, static_cast<int32_t>(std::get<0>(key)));
  std::vector<size_t> of[2];
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const measure::Query& query = plan.queries[n];
    const auto found = wrong.find({query.step, query.b, query.h, query.i});
    if (found != wrong.end() && query.step <= last) of[found->second ? 1 : 0].push_back(n);
  }
  constexpr size_t most = 16;
  for (const bool bad : {false, true})
    for (const size_t n : some(of[bad ? 1 : 0], most))
      where_.add(attributes_of(plan, plan.queries[n]), bad);
}

void Samples::add_steps(const Case& c, const Verdict& verdict) {
  const size_t steps = c.cached() ? c.steps.size() : 1;
  const size_t judged =
      verdict.failed() ? std::min(steps, std::max<size_t>(1, verdict.steps)) : steps;
  for (size_t s = 0; s < judged; ++s)
    where_.add(attributes_of(c, s), verdict.failed() && s + 1 == judged);
}

}  // namespace attnfuzz::when
