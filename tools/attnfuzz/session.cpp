#include "tools/attnfuzz/session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

#include "oracle/build.h"
#include "reports/environment.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {

namespace fs = std::filesystem;

Session::Session(fs::path out, bool quiet, Baseline baseline, const std::string& store)
    : out_(std::move(out)), quiet_(quiet), baseline_(std::move(baseline)) {
  report.version = build::version();
  report.environment = environment_text();
  if (!store.empty()) shared_ = std::make_unique<Store>(store);
  if (out_.empty()) return;
  set_earlier_aside();
  make_folder(out_ / "findings");
  std::error_code error;
  fs::remove(out_ / "summary.json", error);  // an earlier run's: this one may not come to its end
  store_ = std::make_unique<Store>((out_ / "findings.sqlite").string());
}

void Session::set_earlier_aside() {
  const fs::path here = out_ / "findings", aside = out_ / "findings.before";
  std::error_code error;
  if (!fs::is_directory(here, error) || fs::is_empty(here, error)) return;
  fs::remove_all(aside, error);
  fs::rename(here, aside, error);
  if (error)
    throw InputError(here.string(), "",
                     "expected a folder that can be moved to findings.before: " + error.message());
  if (!quiet_) fmt::print("the findings of an earlier run are moved to {}\n", aside.string());
}

void Session::save(const Report::Item& item) {
  if (store_) store_->add(item);
  try {
    if (shared_) shared_->add(item);
  } catch (const InputError& error) {  // the run goes on: its own store has the finding
    spdlog::warn("{} is not in the shared store: {}", item.finding.signature, error.what());
  }
}

void Session::add(const Finding& finding) {
  // A replayed case and a made-up one can show the same failure: it is one finding.
  if (report.find(finding.target, finding.signature) != nullptr) return;
  const std::string now = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  Report::Item item{finding,
                    diagnose(finding),
                    now,
                    now,
                    "",
                    environment_text(finding.target),
                    baseline_.knows(finding.target, finding.signature)};
  if (!quiet_) {  // first: nothing that is found is lost where it can't be written
    fmt::print("{}", finding_terminal(item, use_colour()));
    if (item.known) fmt::print("  known: in the baseline\n");
    std::fflush(stdout);
  }
  if (!out_.empty()) write_finding(item, out_ / "findings" / finding.signature);
  save(item);
  if (!quiet_ && !out_.empty()) {
    fmt::print("  report: {}\n\n", (out_ / "findings" / finding.signature / "report.md").string());
    std::fflush(stdout);
  }
  report.items.push_back(std::move(item));
}

void Session::count(const std::string& target, const CampaignStats& stats) {
  for (Report::Item& item : report.items) {
    const auto counted = stats.signatures.find(item.finding.signature);
    if (item.finding.target != target || counted == stats.signatures.end()) continue;
    Report::Item others = item;  // besides the one that the store has
    others.finding.count = static_cast<int64_t>(counted->second) - item.finding.count;
    item.finding.count = static_cast<int64_t>(counted->second);
    if (others.finding.count > 0) save(others);
  }
}

bool Session::lost_failures() const {
  return std::any_of(report.targets.begin(), report.targets.end(), [&](const auto& target) {
    const auto& [name, stats] = target;
    const auto is_of = [&, &of = name](const Report::Item& item) {
      return item.finding.target == of;
    };
    return stats.interrupted && stats.failed > 0 &&
           std::none_of(report.items.begin(), report.items.end(), is_of);
  });
}

void Session::write(std::span<const std::string> formats) {
  if (!out_.empty()) write_report(report, out_, formats);
}

Finding make_finding(Target& target, const Case& c, Examination first,
                     const ReplayableOptions& options) {
  Finding finding;
  finding.target = target.info().name;
  finding.version = target.info().version;
  finding.signature = first.signature;
  finding.original = c;
  finding.shrunk.c = c;
  finding.last = first;
  finding.first = std::move(first);
  if (options.max_tries > 0) shrink_replayable(target, finding, options);
  return finding;
}

}  // namespace attnfuzz::cli
