#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "reports/diagnose.h"

namespace attnfuzz {

/// What a writer writes: one campaign (or what a store remembers of several).
struct Report {
  struct Item {
    Finding finding;
    std::vector<Cause> causes;
    std::string first_seen, last_seen;  ///< ISO 8601, UTC
    std::string repro;                  ///< file name beside the report, empty: none
    std::string environment;            ///< where it was seen last; as Report::environment
    bool known = false;                 ///< in the baseline: does not fail a CI job
  };
  std::string version;      ///< attnfuzz's own
  std::string environment;  ///< "Linux 6.1 x86_64, AMD EPYC, 2 cores"
  CampaignOptions options;
  std::vector<std::pair<std::string, CampaignStats>> targets;  ///< by target name
  std::vector<std::pair<std::string, std::string>> absent;     ///< targets not run here, and why
  std::vector<Item> items;

  /// The finding of a target with this signature, nullptr if there is none.
  Item* find(std::string_view target, std::string_view signature);
  /// How many are not in the baseline: those that fail a job.
  size_t new_findings() const;
};

/// One file in reports/writers/ and one line in the table of report.cpp.
struct Writer {
  std::string_view format;  ///< "md", "html", "junit", "sarif", "json", "job-summary", "issue"
  std::string_view file;    ///< "index.html"; in the finding's own folder for write_item
  std::string (*write)(const Report&);
  std::string (*write_item)(const Report::Item&) = nullptr;  ///< instead: one file for each finding
};
std::span<const Writer> writers();

/// The page of one finding, in Markdown; ready to paste into an issue.
std::string finding_markdown(const Report::Item& item);
/// The few lines for the terminal.
std::string finding_terminal(const Report::Item& item, bool colour);

/// Writes case.json, report.md and the repro into `dir`, the finding's own folder, and notes the
/// repro's name in the item. Throws InputError for a folder that can't be written.
void write_finding(Report::Item& item, const std::filesystem::path& dir);

/// Writes every format asked for, and findings/<signature>/{case.json,report.md,repro.*} under
/// `dir`.
void write_formats(const Report& report, const std::filesystem::path& dir,
                   std::span<const std::string> formats);
/// The same and summary.json, the record of a run.
void write_report(const Report& report, const std::filesystem::path& dir,
                  std::span<const std::string> formats);

/// A program that exits 1 while the bug is there, 0 once it is fixed: where one can be written, of
/// its own, so that it needs only the package under test; else a script that calls attnfuzz. Empty
/// where there is none for this target.
struct Repro {
  std::string file_name;  ///< "repro.py", "repro.cpp"
  std::string text;
};
/// Whether a repro of this name is such a script.
bool needs_attnfuzz(std::string_view file_name);
/// `relation`: the one that the target breaks on this case, if that is the failure.
Repro make_repro(const Case& c, const TargetInfo& target, const Relation* relation = nullptr);
/// That of a finding's shrunk case, judged as precisely as it was.
Repro make_repro(const Finding& finding);

}  // namespace attnfuzz
