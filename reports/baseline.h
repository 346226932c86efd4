#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reports/report.h"

namespace attnfuzz {

/// Findings that are known and must not fail a CI job. A file for people to keep in their
/// repository:
///   {"attnfuzz_baseline": 1, "findings": [{"target": "…", "signature": "…", "about": "…"}]}
struct Baseline {
  struct Entry {
    std::string target, signature;
    std::string about;  ///< a line for people
  };
  std::vector<Entry> entries;

  /// The environment in "package:name@environment" makes no difference, nor does a plug-in's
  /// folder: a bug keeps its signature from release to release.
  bool knows(std::string_view target, std::string_view signature) const;
};

/// Strict; throws InputError (naming `where`) for anything else than such a file.
Baseline parse_baseline(std::string_view json, const std::string& where);
std::string write_baseline(const Baseline& baseline);

/// All findings of a report as a baseline, sorted; those that it knew keep their line.
Baseline baseline_of(const Report& report, const Baseline& before);

}  // namespace attnfuzz
