#include "reports/summary.h"

#include <gtest/gtest.h>

#include <fstream>

#include "oracle/error.h"
#include "reports/merge.h"
#include "reports/sample_findings.h"
#include "reports/store.h"
#include "reports/temporary_folder.h"
#include "reports/text_file.h"

namespace attnfuzz {
namespace {

class RunFolder : public testing::Test {
 protected:
  static Report::Item item() {
    return samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
  }

  static Report shard() {
    Report report = samples::report({item()});
    report.options.seed = 3;
    report.options.shard = 1;
    report.options.shards = 3;
    report.targets[0].second.interrupted = true;
    report.targets[0].second.features = {{"rule:causal", 7}};
    report.absent = {{"cuda:tiled", "no GPU"}};
    report.items[0].known = true;
    return report;
  }

  std::string text(const char* file) const { return read_text(dir_ / file); }

  TemporaryFolder folder_;
  const std::filesystem::path& dir_ = folder_.path();
};

TEST_F(RunFolder, KeepsItsRecord) {
  write_report(shard(), dir_, {});
  const std::string before = text("summary.json");
  const RunRecord run = read_run(dir_);
  EXPECT_TRUE(run.finished);
  ASSERT_EQ(run.report.items.size(), 1U);
  EXPECT_TRUE(run.report.items[0].known);
  write_formats(run.report, dir_, std::vector<std::string>{"junit"});
  EXPECT_EQ(text("summary.json"), before);
  EXPECT_NE(text("junit.xml").find("skipped message=\"known"), std::string::npos);
  EXPECT_NE(text("junit.xml").find("campaign of 100 cases, seed 3"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "report.md"));
  write_formats(run.report, dir_, std::vector<std::string>{"json"});
  EXPECT_EQ(text("summary.json"), before);
}

/// A store gathers what all runs of a folder found.
TEST_F(RunFolder, TheLastRunAloneIsTold) {
  Store((dir_ / "findings.sqlite").string()).add(item());
  write_report(samples::report({}), dir_, {});
  EXPECT_TRUE(read_run(dir_).report.items.empty());
  EXPECT_TRUE(merge_runs({dir_}).report.items.empty());
}

TEST_F(RunFolder, AKilledRunHasItsStore) {
  Store((dir_ / "findings.sqlite").string()).add(item());
  const RunRecord killed = read_run(dir_);
  EXPECT_FALSE(killed.finished);
  EXPECT_EQ(killed.report.items.size(), 1U);
  write_formats(killed.report, dir_, std::vector<std::string>{"json"});  // no record of a run
  EXPECT_FALSE(read_run(dir_).finished);
  EXPECT_EQ(merge_runs({dir_}).unfinished.size(), 1U);
}

TEST_F(RunFolder, AnEmptyFileIsNoStore) {
  EXPECT_THROW(read_run(dir_), InputError);
  std::ofstream(dir_ / "findings.sqlite");
  EXPECT_THROW(read_run(dir_), InputError);
  EXPECT_THROW(merge_runs({dir_}), InputError);
  EXPECT_EQ(std::filesystem::file_size(dir_ / "findings.sqlite"), 0U);
}

}  // namespace
}  // namespace attnfuzz
