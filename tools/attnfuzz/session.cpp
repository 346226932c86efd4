#include "tools/attnfuzz/session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "oracle/build.h"
#include "reports/environment.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {

namespace fs = std::filesystem;

Session::Session(fs::path out, bool quiet) : out_(std::move(out)), quiet_(quiet) {
  report.version = build::version();
  report.environment = environment_text();
  if (out_.empty()) return;
  std::error_code error;
  fs::create_directories(out_ / "findings", error);
  if (error)
    throw InputError(out_.string(), "", "expected a folder that can be made: " + error.message());
  store_ = std::make_unique<Store>(out_ / "findings.sqlite");
}

void Session::add(const Finding& finding) {
  // A replayed case and a made-up one can show the same failure: it is one finding.
  if (report.find(finding.target, finding.signature) != nullptr) return;
  const std::string now = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  Report::Item item{finding, diagnose(finding), now, now, "", report.environment};
  if (!out_.empty()) {
    write_finding(item, out_ / "findings" / finding.signature);
    store_->add(item);
  }
  if (!quiet_) {
    fmt::print("{}", finding_terminal(item, use_colour()));
    if (!out_.empty())
      fmt::print("  report: {}\n\n",
                 (out_ / "findings" / finding.signature / "report.md").string());
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
    if (store_ && others.finding.count > 0) store_->add(others);
  }
}

void Session::write(std::span<const std::string> formats) {
  if (!out_.empty()) write_report(report, out_, formats);
}

Finding make_finding(Target& target, const Case& c, Examination first, int64_t max_shrink_tries) {
  Finding finding;
  finding.target = target.info().name;
  finding.version = target.info().version;
  finding.signature = first.signature;
  finding.original = c;
  finding.shrunk.c = c;
  finding.last = first;
  finding.first = std::move(first);
  if (max_shrink_tries > 0) shrink_finding(target, finding, max_shrink_tries);
  return finding;
}

}  // namespace attnfuzz::cli
