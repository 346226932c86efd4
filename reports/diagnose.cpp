#include "reports/diagnose.h"

#include <algorithm>

#include "fuzz/measure/untold.h"
#include "fuzz/relations/relation.h"
#include "reports/causes/causes.h"
#include "reports/causes/condition.h"

namespace attnfuzz {
namespace {

/// A failure that leaves no output to look into, and no text that says more than how it ended.
struct Silent {
  FailureKind kind;
  CauseEntry entry;
  std::string_view text = "";  ///< begins with this
};
/// The first row that fits is said.
constexpr Silent kSilent[] = {
    {FailureKind::crash,
     {"process-exited",
      "The process ended itself, with an exit code: the target, or a library that it calls, ended "
      "it (exit() or the like; in Python, an exception that nothing caught)."},
     "exited with code"},
    {FailureKind::crash,
     {"worker-reply",
      "What came back from the target's process is not attnfuzz's own reply: the target writes to "
      "a file descriptor that is not its own, or closes it."},
     "not a worker's reply"},
    {FailureKind::crash,
     {"process-died",
      "The process was killed as it ran: an access outside a tensor (often on an empty or "
      "odd-sized axis), a failed assertion or a division by zero."}},
    {FailureKind::timeout,
     {"never-returns",
      "The target did not return in time: a loop whose step can become 0, or a "
      "deadlock."}},
    {FailureKind::memory,
     {"memory-limit",
      "The target asked for more memory than such small tensors can need: a size "
      "was read off the wrong axis, or is negative and became huge."}},
    {FailureKind::nondeterminism,
     {"not-repeatable",
      "The same call on the same input gives other bits: memory that is read "
      "before it is written, or a race."}},
};

void append(std::vector<Cause>& to, std::vector<Cause> from) {
  for (Cause& cause : from) to.push_back(std::move(cause));
}

bool is_measured(const Finding& finding, std::string_view about) {
  return std::any_of(finding.measured.begin(), finding.measured.end(),
                     [=](const measure::Statement& each) { return each.about == about; });
}

/// What experiments showed, by how much it says: a measured law, then faults that no case which
/// passes speaks against, then what was seen.
std::vector<Cause> causes_from_experiments(const Finding& finding) {
  std::vector<Cause> causes;
  const std::vector<Cause> laws = causes_from_measurement(finding, true),
                           stand = causes_from_fits(finding, Standing::stands, Standing::stands);
  // What a cache reports of itself is what was found: which tokens are taken then follows from it.
  if (finding.last.verdict.failure == FailureKind::shape) {
    append(causes, stand);
    append(causes, causes_from_lengths(finding));
    append(causes, laws);
  } else {
    if (is_measured(finding, "precision")) append(causes, causes_from_precision(finding));
    append(causes, laws);
    append(causes, stand);
  }
  append(causes, causes_from_measurement(finding, false));
  return causes;
}

/// Of what the outcome shows, whatever ran before.
std::vector<Cause> causes_of_outcome(const Finding& finding) {
  const Verdict& verdict = finding.last.verdict;
  if (verdict.failure == FailureKind::relation)
    return {{std::string(verdict.relation->name), std::string(verdict.relation->cause)}};
  const bool noticed = finding.last.outcome.status == Status::ok;  // by a checker, as it happened
  std::vector<Cause> causes;
  if (noticed)
    append(causes, causes_from_text(finding.last.outcome.text, finding.shrunk.c, &finding.learned));
  append(causes, causes_from_flushing(finding));
  const bool measured = measure::say_what(finding.measured);
  append(causes,
         causes_from_fits(finding, Standing::shown, measured ? Standing::shown : Standing::first));
  // Experiments leave out what is not finite or huge in a case's data: where they see nothing, it
  // is that.
  if (!measured) append(causes, causes_from_leaks(finding, true));
  if (causes.empty()) append(causes, causes_from_softmax(finding));
  std::vector<Cause> values;  // of single values that are not finite: where they lie is said too
  if (causes.empty()) append(values, causes_from_unwritten(finding));
  if (causes.empty() && values.empty() && !is_measured(finding, "memory"))
    append(values, causes_from_nonfinite(finding));
  const size_t of_values = values.size();
  append(causes, std::move(values));
  if (measured)
    append(causes, causes_from_experiments(finding));
  else if (verdict.failure == FailureKind::shape)
    append(causes, causes_from_lengths(finding));
  append(causes, causes_from_fits(finding, measured ? Standing::first : Standing::shrunk,
                                  Standing::shrunk));
  if (measured) append(causes, causes_from_leaks(finding, true));
  append(causes, causes_from_leaks(finding, false));
  append(causes, causes_from_offset(finding));
  // An error that came later follows from what a cache reports of itself.
  if (verdict.failure != FailureKind::shape && !noticed)
    append(causes, causes_from_text(finding.last.outcome.text, finding.shrunk.c, &finding.learned));
  if (causes.size() == of_values) {
    append(causes, causes_from_precision(finding));
    append(causes, causes_from_location(finding));
  }
  for (const Silent& silent : kSilent)
    if (causes.empty() && silent.kind == verdict.failure &&
        finding.last.outcome.text.starts_with(silent.text))
      causes.push_back({std::string(silent.entry.name), std::string(silent.entry.words)});
  return causes;
}

}  // namespace

std::vector<Cause> diagnose(const Finding& finding) {
  std::vector<Cause> causes = causes_from_earlier(finding);
  append(causes, causes_of_outcome(finding));
  add_condition(finding, causes);
  return causes;
}

std::vector<CauseEntry> cause_table() {
  std::vector<CauseEntry> table;
  for (const Fault& each : faults()) table.push_back({each.name, each.words});
  for (const AxisPair& each : axis_pairs()) table.push_back({each.name, each.words});
  for (const auto& patterns : text_patterns())
    for (const TextPattern& each : patterns) table.push_back({each.name, each.pattern});
  for (const auto& entries :
       {earlier_table(), measured_table(), length_table(), softmax_table(), unwritten_table(),
        nonfinite_table(), precision_table(), location_table()})
    table.insert(table.end(), entries.begin(), entries.end());
  for (const Relation& each : relations()) table.push_back({each.name, each.cause});
  for (const Silent& each : kSilent) table.push_back(each.entry);
  return table;
}

}  // namespace attnfuzz
