#include "fuzz/replayable.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fuzz/known.h"
#include "fuzz/measure/finding.h"
#include "fuzz/signature.h"

namespace attnfuzz {
namespace {

/// How many earlier cases are tried, until some make the case fail again.
constexpr uint64_t kWindows[] = {1, 4, 16, 64};

constexpr int64_t most_processes = 200;

/// Bits that differ only now and then are given so many processes to do so.
constexpr int nondeterminism_tries = 4;

/// A run in a new process, judged as `like` was.
Examination examine_anew(Target& target, const Case& c, const Verdict& like) {
  Examination examination;
  int tries = like.failure == FailureKind::nondeterminism ? nondeterminism_tries : 1;
  do {
    target.renew();
    examination = examine_like(target, c, like);
  } while (!examination.verdict.failed() && --tries > 0);
  return examination;
}

/// The failure as it was found.
void leave_unshrunk(Target& target, Finding& finding) {
  shrink_finding(target, finding, 0);
}

bool shrunk_fails(Target& target, const Finding& finding) {
  const Examination again = examine_anew(target, finding.shrunk.c, finding.first.verdict);
  return again.verdict.failed() &&
         finding.learned.covers(classify(finding.shrunk.c, again.verdict));
}

/// With a new process after each failure, the likeliest to leave something behind; where that is
/// not enough, with one for each try, which takes so long that there are few.
void shrink_renewing(Target& target, Finding& finding, const ReplayableOptions& options) {
  target.renew();
  shrink_finding(target, finding, options.max_tries, options.stop, Renew::after_failure);
  if (shrunk_fails(target, finding)) return;
  shrink_finding(target, finding, std::min(options.max_tries, most_processes), options.stop,
                 Renew::always);
  if (shrunk_fails(target, finding)) return;
  leave_unshrunk(target, finding);
}

/// Fewer and fewer cases, as long as the finding's fails after them: halves, then single ones.
std::vector<Case> fewest(std::vector<Case> before,
                         const std::function<bool(const std::vector<Case>&)>& fails) {
  for (size_t part = std::max<size_t>(1, before.size() / 2); part > 0; part /= 2)
    for (size_t from = 0; from < before.size();) {
      std::vector<Case> fewer = before;
      const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(from);
      fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(part, fewer.size() - from)));
      if (!fewer.empty() && fails(fewer))
        before = std::move(fewer);
      else
        from += part;
    }
  return before;
}

void set_not_repeatable(Target& target, Finding& finding) {
  Verdict& verdict = finding.first.verdict;
  const std::string failed = std::move(verdict.detail);
  verdict = {};
  verdict.kind = VerdictKind::fail;
  verdict.failure = FailureKind::nondeterminism;
  verdict.detail =
      fmt::format("the case failed in one process ({}) and passed in a new one", failed);
  leave_unshrunk(target, finding);
}

void not_alone(const Target& target, Finding& finding) {
  finding.learned.alone = false;
  finding.signature = signature(target.info().name, finding.learned);
}

}  // namespace

bool After::renew() {
  if (!target_.renew()) return false;
  for (const Case& c : before_)
    if (target_.info().capabilities.why_not(c).empty()) target_.run(c, make_inputs(c));
  return true;
}

void search_earlier(Target& target, Finding& finding, const ReplayableOptions& options) {
  const FailureClass* known = options.known != nullptr ? options.known->not_alone() : nullptr;
  if (known != nullptr) {
    leave_unshrunk(target, finding);
    finding.learned = *known;
    return not_alone(target, finding);
  }
  std::optional<Examination> failure;
  const auto fails = [&](const std::vector<Case>& before) {
    if (options.stop && options.stop()) return false;
    After after(target, before);
    Examination again = examine_anew(after, finding.original, finding.first.verdict);
    if (!again.verdict.failed()) return false;
    failure = std::move(again);
    return true;
  };
  const bool renews = target.renew();  // else no case can be put before another
  for (const uint64_t most : kWindows) {
    if (!renews) break;
    const std::vector<Case> before = options.earlier ? options.earlier(most) : std::vector<Case>{};
    if (!before.empty() && fails(before)) {
      finding.before = fewest(before, fails);
      finding.first = std::move(*failure);
      After after(target, finding.before);
      shrink_renewing(after, finding, options);
      return not_alone(target, finding);
    }
    if (before.size() < most) break;
  }
  set_not_repeatable(target, finding);
  not_alone(target, finding);
}

namespace {

void shrink_alone(Target& target, Finding& finding, const ReplayableOptions& options) {
  const Verdict& first = finding.first.verdict;
  shrink_finding(target, finding, options.max_tries, options.stop);
  if (options.max_tries == 0 || !target.renew() || shrunk_fails(target, finding)) return;
  Examination anew = examine_anew(target, finding.original, first);
  if (!anew.verdict.failed()) return search_earlier(target, finding, options);
  finding.first = std::move(anew);
  shrink_renewing(target, finding, options);
}

}  // namespace

void shrink_replayable(Target& target, Finding& finding, const ReplayableOptions& options) {
  shrink_alone(target, finding, options);
  if (options.max_diagnose <= 0 || (options.stop && options.stop())) return;
  measure::measure_finding(target, finding, options.max_diagnose);
}

}  // namespace attnfuzz
