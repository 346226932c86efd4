#include <fmt/format.h>

#include <algorithm>

#include "reports/causes/causes.h"

namespace attnfuzz {

/// One cause for each meaning that the shrunk case's output has. A small case often has several:
/// those that cases near it have too, and the case as it was first found, come first.
std::vector<Cause> causes_from_fits(const Finding& finding) {
  std::vector<const Fault*> fits = finding.last.verdict.fits;
  const std::vector<const Fault*>& first = finding.first.verdict.fits;
  const std::vector<std::string>& learned = finding.learned.meanings;
  const auto in_first = [&](const Fault* fit) {
    return std::find(first.begin(), first.end(), fit) != first.end();
  };
  const auto near = [&](const Fault* fit) {
    return std::find(learned.begin(), learned.end(), fit->name) != learned.end();
  };
  const auto in_both = std::stable_partition(fits.begin(), fits.end(), in_first) - fits.begin();
  if (std::none_of(fits.begin(), fits.end(), in_first))
    std::stable_partition(fits.begin(), fits.end(), near);
  else
    std::stable_partition(fits.begin(), fits.begin() + in_both, near);
  const bool told_apart = in_both == 1 && fits.size() > 1;

  std::vector<Cause> causes;
  for (size_t k = 0; k < fits.size(); ++k) {
    const std::string_view also = k == 0 ? "" : "also ";
    std::string words =
        fmt::format("The output {}equals what you get if {}.", also, fits[k]->words);
    if (k == 0 && told_apart)
      words += fmt::format(
          " (The smallest case fits {} meanings; of these only this one fits the "
          "case as it was first found.)",
          fits.size());
    else if (k == 0 && fits.size() > 1)
      words += fmt::format(" ({} meanings give this same output here.)", fits.size());
    causes.push_back({std::string(fits[k]->name), std::move(words)});
  }
  return causes;
}

}  // namespace attnfuzz
