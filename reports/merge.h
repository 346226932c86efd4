#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "reports/report.h"

namespace attnfuzz {

/// Runs of one campaign, put together.
struct Merged {
  Report report;
  std::string run;                      ///< a name for the whole, made of what it is a function of
  std::vector<std::string> unfinished;  ///< folders without a summary.json: their run was killed
  uint64_t missing = 0;                 ///< shards that are in none of the folders
};

/// The --out folders of the shards of a campaign as one report: counts added, and each failure once
/// even where two shards shrank it to cases that look different. Of an unfinished run the findings
/// alone are taken. Throws InputError for runs of different campaigns, and for a shard given twice.
Merged merge_runs(const std::vector<std::filesystem::path>& dirs);

}  // namespace attnfuzz
