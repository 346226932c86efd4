#include "fuzz/replayable.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fuzz/explain.h"
#include "fuzz/known.h"
#include "fuzz/signature.h"
#include "targets/given_up.h"

namespace attnfuzz {
namespace {

/// The newest so many earlier cases are tried first, then each time so many times more, until some
/// make the case fail again: together at most a third more runs than the process has behind it.
constexpr uint64_t first_window = 1, window_growth = 4;

/// Sets of earlier cases that are tried in search of the fewest. A bisection takes two for each
/// halving; what is left tells single cases apart where few are needed. Where a hundred are needed
/// together (a limit that fills up), that no single one can go is not worth a process for each.
constexpr int64_t most_sets = 64;

constexpr int64_t most_processes = 200;

/// Bits that differ only now and then are given so many processes to do so.
constexpr int nondeterminism_tries = 4;

/// A run in a new process, judged as `like` was.
Examination examine_anew(Target& target, const Case& c, const Verdict& like) {
  Examination examination;
  int tries = like.failure == FailureKind::nondeterminism ? nondeterminism_tries : 1;
  do {
    target.restart();
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
  target.restart();
  shrink_finding(target, finding, options.max_tries, options.stop, Restart::after_failure);
  if (shrunk_fails(target, finding)) return;
  shrink_finding(target, finding, std::min(options.max_tries, most_processes), options.stop,
                 Restart::always);
  if (shrunk_fails(target, finding)) return;
  leave_unshrunk(target, finding);
}

using FailsAfter = std::function<bool(const std::vector<Case>&)>;

/// The newest earlier cases after which the finding's fails; none where it does after no number of
/// them, back to the process's first.
std::vector<Case> failing_window(const ReplayableOptions& options, const FailsAfter& fails) {
  if (!options.earlier) return {};
  uint64_t tried = 0, most = first_window;
  for (; tried < most; most *= window_growth) {
    std::vector<Case> before = options.earlier(most);
    if (before.size() <= tried || (options.stop && options.stop())) break;
    if (fails(before)) return before;
    if (before.size() < most) break;  // these were all
    tried = before.size();
  }
  std::vector<Case> all = options.runs ? options.runs() : std::vector<Case>{};
  return !all.empty() && fails(all) ? all : std::vector<Case>{};
}

/// Fewer and fewer cases, as long as the finding's fails after them: halves, then single ones.
std::vector<Case> fewest(std::vector<Case> before, const FailsAfter& fails) {
  int64_t left = most_sets;
  for (size_t part = std::max<size_t>(1, before.size() / 2); part > 0; part /= 2)
    for (size_t from = 0; from < before.size() && left > 0;) {
      std::vector<Case> fewer = before;
      const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(from);
      fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(part, fewer.size() - from)));
      if (!fewer.empty() && left-- > 0 && fails(fewer))
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

bool After::restart() {
  if (!target_.restart()) return false;
  for (const Case& c : before_)
    if (!(stop_ && stop_()) && target_.info().capabilities.rejection_reason(c).empty())
      target_.run(c, make_inputs(c));
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
    After after(target, before, options.stop);
    Examination again = examine_anew(after, finding.original, finding.first.verdict);
    if (!again.verdict.failed()) return false;
    failure = std::move(again);
    return true;
  };
  // Without a process of its own no case can be put before another.
  const std::vector<Case> before =
      target.restart() ? failing_window(options, fails) : std::vector<Case>{};
  finding.before = before.empty() ? before : fewest(before, fails);
  if (!before.empty() && !fails(finding.before)) finding.before.clear();  // by chance, it seems
  if (!finding.before.empty()) {
    finding.first = std::move(*failure);
    After after(target, finding.before, options.stop);
    shrink_renewing(after, finding, options);
    return not_alone(target, finding);
  }
  set_not_repeatable(target, finding);
  not_alone(target, finding);
}

namespace {

void shrink_alone(Target& target, Finding& finding, const ReplayableOptions& options) {
  const Verdict& first = finding.first.verdict;
  shrink_finding(target, finding, options.max_tries, options.stop);
  if (options.max_tries == 0 || !target.restart() || shrunk_fails(target, finding)) return;
  Examination anew = examine_anew(target, finding.original, first);
  if (!anew.verdict.failed()) return search_earlier(target, finding, options);
  finding.first = std::move(anew);
  shrink_renewing(target, finding, options);
}

}  // namespace

void shrink_replayable(Target& target, Finding& finding, const ReplayableOptions& options) {
  shrink_alone(target, finding, options);
  if (options.max_diagnose <= 0 || (options.stop && options.stop())) return;
  explain_finding(
      target, finding,
      options.known == nullptr ? std::span<const measure::Bug>() : options.known->bugs(),
      options.max_diagnose);
}

void shrink_or_give_up(Target& target, Finding& finding, const ReplayableOptions& options,
                       const std::function<void(const Finding&)>& tell) {
  const Finding found = finding;
  try {
    shrink_replayable(target, finding, options);
  } catch (const GivenUp&) {
    tell(found);
    throw;
  }
}

}  // namespace attnfuzz
