#include "reports/expectation.h"

#include "reports/causes/causes.h"
#include "reports/diagnose.h"

namespace attnfuzz {
namespace {

std::string verdict_of(const Finding& finding) {
  const Verdict& verdict = finding.first.verdict;
  if (!verdict.failed()) return std::string(name(verdict.kind));
  return "fail:" + std::string(name(verdict.failure));
}

/// The likeliest cause's name, empty if there is none or it says only where the error lies.
std::string cause_of(const Finding& finding) {
  const std::vector<Cause> causes = diagnose(finding);
  if (causes.empty()) return {};
  for (const CauseEntry& place : location_table())
    if (place.name == causes.front().name) return {};
  return causes.front().name;
}

}  // namespace

std::string expectation_of(const Finding& finding) {
  if (!finding.first.verdict.failed()) return verdict_of(finding);
  const std::string cause = cause_of(finding);
  return verdict_of(finding) + " " + (cause.empty() ? finding.signature : cause);
}

bool meets(std::string_view expected, const Finding& finding) {
  const std::string verdict = verdict_of(finding);
  if (!finding.first.verdict.failed()) return expected == verdict;
  return expected == verdict || expected == verdict + " " + finding.signature ||
         expected == expectation_of(finding);
}

}  // namespace attnfuzz
