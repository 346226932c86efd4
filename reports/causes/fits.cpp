#include <fmt/format.h>

#include <algorithm>
#include <tuple>

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

Standing standing(const Finding& finding, const Fault& fit) {
  const auto& first = finding.first.verdict.fits;
  const bool in_first = std::find(first.begin(), first.end(), &fit) != first.end();
  if (const measure::Trial* trial = trial_of(finding, fit)) {
    if (trial->shown() || is_shown_when(finding, *trial)) return Standing::shown;
    if (trial->explains_all() || trial->stands()) return Standing::stands;
    // Where other cases fail and it explains none of them, it fits by chance.
    if (trial->failing > 1 && trial->explained <= 1) return Standing::shrunk;
  }
  return in_first ? Standing::first : Standing::shrunk;
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
  const bool smallest = standing(finding, fit) == Standing::shrunk;
  if (k == 0 && smallest) text += " (This fits the smallest case only.)";
  if (k == 0 && !smallest && count > 1)
    text += fmt::format(" ({} faults give this same output here.)", count);
  return text;
}

}  // namespace

/// Those that stand up to more cases come first; then those that cases near the shrunk one have
/// too.
std::vector<Cause> causes_from_fits(const Finding& finding, Standing from, Standing to) {
  std::vector<const Fault*> fits = finding.last.verdict.fits;
  for (const Fault* fit : finding.first.verdict.fits)
    if (std::find(fits.begin(), fits.end(), fit) == fits.end() &&
        standing(finding, *fit) < Standing::first)
      fits.push_back(fit);
  std::erase_if(fits, [&](const Fault* fit) {
    const Standing found = standing(finding, *fit);
    return is_refuted(finding, *fit) || found < from || found > to;
  });
  const std::vector<std::string>& learned = finding.learned.meanings;
  std::stable_partition(fits.begin(), fits.end(), [&](const Fault* fit) {
    return std::find(learned.begin(), learned.end(), fit->name) != learned.end();
  });
  const auto order = [&](const Fault* fit) {
    const measure::Trial* trial = trial_of(finding, *fit);
    const bool shown = trial != nullptr && trial->shown();
    return std::tuple(standing(finding, *fit), !shown, trial == nullptr ? 0 : trial->against());
  };
  std::stable_sort(fits.begin(), fits.end(),
                   [&](const Fault* a, const Fault* b) { return order(a) < order(b); });
  std::vector<Cause> causes;
  for (size_t k = 0; k < fits.size(); ++k)
    causes.push_back({std::string(fits[k]->name), words(finding, *fits[k], k, fits.size())});
  return causes;
}

}  // namespace attnfuzz
