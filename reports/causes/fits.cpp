#include <fmt/format.h>

#include <algorithm>

#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

std::string words(const Fault& fit, size_t k, size_t count, bool shown, size_t all) {
  std::string text =
      fmt::format("The output {}equals what you get if {}.", k == 0 ? "" : "also ", fit.words);
  if (k > 0) return text;
  if (!shown)
    text += " (This fits the smallest case only, not the case as it was first found.)";
  else if (count == 1 && all > 1)
    text += fmt::format(
        " (The smallest case fits {} meanings; of these only this one fits the case as it was "
        "first found.)",
        all);
  else if (count > 1)
    text += fmt::format(" ({} meanings give this same output here.)", count);
  return text;
}

}  // namespace

/// A small case often has several meanings: those that cases near it have too come first.
std::vector<Cause> causes_from_fits(const Finding& finding, bool shown) {
  std::vector<const Fault*> fits = finding.last.verdict.fits;
  const size_t all = fits.size();
  const std::vector<const Fault*>& first = finding.first.verdict.fits;
  const std::vector<std::string>& learned = finding.learned.meanings;
  std::erase_if(fits, [&](const Fault* fit) {
    return shown == (std::find(first.begin(), first.end(), fit) == first.end());
  });
  std::stable_partition(fits.begin(), fits.end(), [&](const Fault* fit) {
    return std::find(learned.begin(), learned.end(), fit->name) != learned.end();
  });
  std::vector<Cause> causes;
  for (size_t k = 0; k < fits.size(); ++k)
    causes.push_back({std::string(fits[k]->name), words(*fits[k], k, fits.size(), shown, all)});
  return causes;
}

}  // namespace attnfuzz
