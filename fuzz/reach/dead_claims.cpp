#include "fuzz/reach/dead_claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/claims.h"
#include "fuzz/generate.h"
#include "fuzz/reach/goal.h"

namespace attnfuzz {
namespace {

/// Whether any case uses the word, as far as draws tell.
bool is_usable(const Generator& generator, size_t word) {
  constexpr uint64_t tries = 200;
  Aim aim;
  aim.work = 1 << 16;
  aim.words.set(word);
  for (uint64_t k = 0; k < tries; ++k)
    if (marks_of(generator(*seeded_draw(0, k), aim)).words[word]) return true;
  return false;
}

void add_features(const Claims& claims, const FeatureSet& unusable,
                  std::vector<std::string>& dead) {
  const std::vector<std::string>& words = feature_words();
  for (size_t k = 0; k < words.size(); ++k) {
    if (claims.denied_by_sizes(k))
      dead.push_back(
          fmt::format("no case can use {}: the sizes are claimed to be equal", words[k]));
    if (!unusable[k]) continue;
    const std::string& partner = claims.missing_partner(k);
    dead.push_back(
        partner.empty()
            ? fmt::format("no case can use {}: what else is claimed forbids it", words[k])
            : fmt::format("no case can use {}: it needs {}, which is not claimed", words[k],
                          partner));
  }
}

void add_sizes(const Claims& claims, std::vector<std::string>& dead) {
  for (size_t k = 0; k < axis_count; ++k) {
    const std::string_view axis = size_names()[k];
    const auto named = claims.capabilities().sizes.find(std::string(axis));
    if (named == claims.capabilities().sizes.end()) continue;
    const auto& [min, max, step] = named->second;
    const int64_t least = (min + step - 1) / step * step, most = max / step * step;
    if (min < max && least == most)
      dead.push_back(fmt::format("{} [{}, {}] by {} leaves {} alone", axis, min, max, step, least));
    for (const int64_t tile : claims.tiles(static_cast<Axis>(k)))
      if (tile > max)
        dead.push_back(
            fmt::format("no {} is as long as the tile {}: at most {} is claimed", axis, tile, max));
  }
}

void add_params(const Claims& claims, std::vector<std::string>& dead) {
  for (const auto& [param, range] : claims.capabilities().params) {
    const std::string rule = "rule:" + param.substr(0, param.find('.'));
    if (!claims.capabilities().has(rule))
      dead.push_back(fmt::format("{} has limits, but {} is not claimed", param, rule));
  }
}

}  // namespace

FeatureSet unusable_features(const Generator& generator) {
  FeatureSet unusable;
  for (size_t k = 0; k < feature_words().size(); ++k)
    if (generator.claims().declared(k) && !is_silent(feature_words()[k]))
      unusable.set(k, !is_usable(generator, k));
  return unusable;
}

std::vector<std::string> dead_claims(const Claims& claims, const FeatureSet& unusable) {
  std::vector<std::string> dead;
  add_features(claims, unusable, dead);
  add_sizes(claims, dead);
  add_params(claims, dead);
  return dead;
}

}  // namespace attnfuzz
