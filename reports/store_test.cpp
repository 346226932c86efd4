#include "reports/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "reports/sample_findings.h"
#include "reports/temporary_folder.h"

namespace attnfuzz {
namespace {

class StoreTest : public testing::Test {
 protected:
  static Report::Item item(const std::string& signature, const std::string& seen) {
    Report::Item item =
        samples::item(samples::error_finding(samples::small_case(), samples::kMaskAxisText));
    item.finding.signature = signature;
    item.first_seen = item.last_seen = seen;
    return item;
  }

  TemporaryFolder folder_;
  const std::filesystem::path &dir_ = folder_.path(), file_ = dir_ / "findings.sqlite";
};

TEST_F(StoreTest, OneRowForEachSignature) {
  {
    Store store(file_);
    Report::Item first = item("a", "2025-01-02T00:00:00Z");
    first.finding.count = 2;
    store.add(first);
    Report::Item again = item("a", "2025-01-05T00:00:00Z");
    again.finding.version = "2.0";
    again.finding.count = 5;
    store.add(again);
    store.add(item("a", "2025-01-03T00:00:00Z"));  // late news of an earlier time
    store.add(item("b", "2025-01-03T00:00:00Z"));
    Report::Item other = item("a", "2025-01-03T00:00:00Z");
    other.finding.target = "specimen:other";
    store.add(other);
  }
  const auto items = Store(file_).items();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].finding.target, "specimen:other");
  EXPECT_EQ(items[1].finding.signature, "a");
  EXPECT_EQ(items[1].finding.count, 8);
  EXPECT_EQ(items[1].finding.version, "2.0");
  EXPECT_EQ(items[1].first_seen, "2025-01-02T00:00:00Z");
  EXPECT_EQ(items[1].last_seen, "2025-01-05T00:00:00Z");
  EXPECT_EQ(items[1].causes.at(0).name, "mask-axis");
}

void expect_input_error(const std::filesystem::path& file) {
  try {
    Store store(file);
    store.items();
    FAIL() << "was taken for a store";
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).rfind(file.string(), 0), 0u) << error.what();
  }
}

TEST_F(StoreTest, NotADatabase) {
  std::ofstream(file_) << "This is a text, and longer than the header of a database would be: "
                       << std::string(200, 'x');
  expect_input_error(file_);
}

TEST_F(StoreTest, AnotherProgramsDatabaseIsLeftAlone) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "CREATE TABLE notes (text)", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  expect_input_error(file_);
  ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
  EXPECT_NE(sqlite3_exec(db, "SELECT * FROM finding", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
}

TEST_F(StoreTest, ALaterVersionIsNamed) {
  { Store store(file_); }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  expect_input_error(file_);
}

TEST_F(StoreTest, DamagedRowsAreNamed) {
  Store(file_).add(item("a", "2025-01-02T00:00:00Z"));
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "UPDATE finding SET item = '{\"attnfuzz_finding\":1}'", nullptr, nullptr,
               nullptr);
  sqlite3_close(db);
  expect_input_error(file_);
}

TEST_F(StoreTest, AFolderIsNoStore) {
  expect_input_error(dir_);
}

TEST_F(StoreTest, AKillLosesNothingThatWasAdded) {
  const pid_t child = fork();
  if (child == 0) {
    Store store(file_);
    store.add(item("a", "2025-01-02T00:00:00Z"));
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(Store(file_).items().size(), 1u);
}

TEST_F(StoreTest, ManyWritersAtOnce) {
  constexpr int kWriters = 4, kEach = 25;
  std::vector<pid_t> children;
  for (int w = 0; w < kWriters; ++w) {
    children.push_back(fork());
    if (children.back() == 0) {
      Store store(file_);
      for (int k = 0; k < kEach; ++k) store.add(item(std::to_string(k), "2025-01-02T00:00:00Z"));
      _exit(0);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const auto items = Store(file_).items();
  ASSERT_EQ(items.size(), static_cast<size_t>(kEach));
  for (const auto& each : items) EXPECT_EQ(each.finding.count, kWriters);
}

}  // namespace
}  // namespace attnfuzz
