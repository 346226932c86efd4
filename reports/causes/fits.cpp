#include <fmt/format.h>

#include <algorithm>

#include "fuzz/measure/untold.h"
#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

const measure::Trial* trial_of(const Finding& finding, const Fault& fit) {
  const auto found =
      std::find_if(finding.trials.begin(), finding.trials.end(),
                   [&](const measure::Trial& each) { return each.fault == fit.name; });
  return found == finding.trials.end() ? nullptr : &*found;
}

/// Whether a fault explains all that fails, four cases at least, and a condition tells exactly when
/// the failure happens: then what passes does not speak against it.
bool is_shown_when(const Finding& finding, const measure::Trial& trial) {
  constexpr int64_t enough = 4;
  return trial.explains_all() && trial.failing >= enough &&
         std::any_of(finding.measured.begin(), finding.measured.end(),
                     [](const measure::Statement& each) { return each.about == "when"; });
}

/// 0: shown, under a condition at most; 1: it explains all that fails, but not what passes; 2: it
/// fits the case as first found; 3: the shrunk case only.
int rank(const Finding& finding, const Fault& fit) {
  const auto& first = finding.first.verdict.fits;
  const bool in_first = std::find(first.begin(), first.end(), &fit) != first.end();
  if (const measure::Trial* trial = trial_of(finding, fit)) {
    if (trial->shown() || is_shown_when(finding, *trial)) return 0;
    if (trial->explains_all() || trial->stands()) return 1;
    // Where other cases fail and it explains none of them, it fits by chance.
    if (trial->failing > 1 && trial->explained <= 1) return 3;
  }
  return in_first ? 2 : 3;
}

/// Whether other cases speak against it: most that fail the same way do so without it, or it would
/// make most of those fail that pass.
bool is_refuted(const Finding& finding, const Fault& fit) {
  constexpr int64_t enough = 4;
  const measure::Trial* trial = trial_of(finding, fit);
  if (trial == nullptr || is_shown_when(finding, *trial)) return false;
  return (trial->failing >= enough && 3 * trial->explained <= trial->failing) ||
         (trial->passing >= enough && 2 * trial->kept < trial->passing);
}

std::string evidence(const Finding& finding, const Fault& fit) {
  const measure::Trial* trial = trial_of(finding, fit);
  if (trial == nullptr || trial->failing + trial->passing < 2) return "";
  std::string words =
      fmt::format("{} {} of {} failing cases tried",
                  trial->shown()                   ? "Shown: it explains"
                  : is_shown_when(finding, *trial) ? "Shown under a condition: it explains"
                                                   : "It explains",
                  trial->explained, trial->failing);
  if (trial->passing > 0)
    words += fmt::format(" and predicts {} of {} passing ones", trial->kept, trial->passing);
  return words + ".";
}

std::string words(const Finding& finding, const Fault& fit, size_t k, size_t count) {
  std::string text =
      fmt::format("The output {}equals what you get if {}.", k == 0 ? "" : "also ", fit.words);
  if (const std::string more = evidence(finding, fit); !more.empty()) text += " " + more;
  const int state = rank(finding, fit);
  if (k == 0 && state == 3) text += " (This fits the smallest case only.)";
  if (k == 0 && state < 3 && count > 1)
    text += fmt::format(" ({} faults give this same output here.)", count);
  return text;
}

}  // namespace

/// Those that stand up to more cases come first; then those that cases near the shrunk one have
/// too.
std::vector<Cause> causes_from_fits(const Finding& finding, bool shown) {
  std::vector<const Fault*> fits = finding.last.verdict.fits;
  for (const Fault* fit : finding.first.verdict.fits)
    if (std::find(fits.begin(), fits.end(), fit) == fits.end() && rank(finding, *fit) < 2)
      fits.push_back(fit);
  const std::vector<std::string>& learned = finding.learned.meanings;
  // Nothing that is not shown comes before what was measured.
  const int last = measure::say_what(finding.measured) ? 0 : 2;
  std::erase_if(fits, [&](const Fault* fit) {
    return is_refuted(finding, *fit) || shown == (rank(finding, *fit) > last);
  });
  std::stable_partition(fits.begin(), fits.end(), [&](const Fault* fit) {
    return std::find(learned.begin(), learned.end(), fit->name) != learned.end();
  });
  const auto order = [&](const Fault* fit) {
    const measure::Trial* trial = trial_of(finding, *fit);
    return std::pair(rank(finding, *fit), trial == nullptr || !trial->shown());
  };
  std::stable_sort(fits.begin(), fits.end(),
                   [&](const Fault* a, const Fault* b) { return order(a) < order(b); });
  std::vector<Cause> causes;
  for (size_t k = 0; k < fits.size(); ++k)
    causes.push_back({std::string(fits[k]->name), words(finding, *fits[k], k, fits.size())});
  return causes;
}

}  // namespace attnfuzz
