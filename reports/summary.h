#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "reports/report.h"

namespace attnfuzz {

/// The report that a summary.json tells of; of the campaign's options seed, shard and shards alone.
/// Throws InputError for a text that is no summary.json.
Report parse_summary(std::string_view json, const std::string& where);

/// The --out folder of a run, read again.
struct RunRecord {
  Report report;
  bool finished = true;  ///< false: it was killed, and the findings are those of its store
};
/// What the folder's summary.json says; its store may hold findings of earlier runs too, so it is
/// asked only where no summary tells what ran. Throws InputError for a folder without either.
RunRecord read_run(const std::filesystem::path& dir);

}  // namespace attnfuzz
