#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "reports/merge.h"
#include "reports/store.h"
#include "reports/text.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> dirs;
  std::string out, store;
  std::vector<std::string> formats = {"md", "json", "html", "junit", "sarif"};
};

/// A store of its own beside the reports, made anew: merging again gives the same.
void write_store(const Merged& merged, const fs::path& out) {
  const fs::path file = out / "findings.sqlite";
  for (const char* part : {"", "-wal", "-shm"}) fs::remove(file.string() + part);
  Store(file.string()).add_once(merged.run, merged.report.items);
}

int merge(const Options& options) {
  std::vector<fs::path> dirs;
  for (const std::string& dir : options.dirs) {
    if (fs::weakly_canonical(dir) == fs::weakly_canonical(options.out))
      throw InputError("--out", "", "expected another folder than those to merge");
    dirs.emplace_back(dir);
  }
  const Merged merged = merge_runs(dirs);
  for (const std::string& dir : merged.unfinished)
    spdlog::warn("{}: no summary.json: the run was killed, its findings alone are taken", dir);
  if (merged.missing > 0) spdlog::warn("{} shards of the campaign are missing", merged.missing);
  write_report(merged.report, options.out, options.formats);
  write_store(merged, options.out);
  fmt::print("{} of {} in {}\n",
             text::count(static_cast<int64_t>(merged.report.items.size()), "finding"),
             text::count(static_cast<int64_t>(dirs.size()), "run"), options.out);
  for (const auto& [name, stats] : merged.report.targets)
    if (stats.interrupted) spdlog::warn("{}: a run of it was interrupted: cases are missing", name);
  if (!options.store.empty()) {
    const bool fresh = Store(options.store).add_once(merged.run, merged.report.items);
    fmt::print("{}\n", fresh ? "added to the store" : "the store has this run already");
  }
  return merged.report.new_findings() == 0 ? nothing_found : findings;
}

}  // namespace

void add_merge(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  app.add_option("dirs", o->dirs, "The --out folders of the shards of a campaign")->required();
  app.add_option("-o,--out", o->out, "Folder for the merged findings and reports")->required();
  app.add_option("--store", o->store,
                 "Add the findings to this store too, once: a file, or postgresql://host/name");
  app.add_option("--format", o->formats, "Reports to write besides summary.json")
      ->delimiter(',')
      ->capture_default_str();
  app.callback([o, &exit_code] { exit_code = merge(*o); });
}

}  // namespace attnfuzz::cli
