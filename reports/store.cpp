#include "reports/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <chrono>
#include <thread>

#include "reports/item_json.h"

namespace attnfuzz {
namespace {

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x61746667;  // "atfg", in the file's header: tells it from others
constexpr int kBusyMilliseconds = 30000;

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS finding (
  target     TEXT NOT NULL,
  signature  TEXT NOT NULL,
  count      INTEGER NOT NULL,
  first_seen TEXT NOT NULL,
  last_seen  TEXT NOT NULL,
  item       TEXT NOT NULL,
  PRIMARY KEY (target, signature)
) WITHOUT ROWID;
)";

// The item kept is the newest. Times compare as text: they are ISO 8601 in UTC.
constexpr const char* kUpsert = R"(
INSERT INTO finding (target, signature, count, first_seen, last_seen, item)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (target, signature) DO UPDATE SET
  count = count + excluded.count,
  first_seen = min(first_seen, excluded.first_seen),
  item = CASE WHEN excluded.last_seen >= last_seen THEN excluded.item ELSE item END,
  last_seen = max(last_seen, excluded.last_seen)
)";

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct CloseStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, CloseStatement>;

}  // namespace

struct Store::Impl {
  std::string file;
  std::unique_ptr<sqlite3, CloseDatabase> db;

  [[noreturn]] void fail(const std::string& expected) const {
    throw InputError(file, "", fmt::format("{} ({})", expected, sqlite3_errmsg(db.get())));
  }
  /// SQLite does not wait for its locks while it changes the journal's mode.
  void execute_patiently(const char* sql) const {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyMilliseconds);
    while (sqlite3_exec(db.get(), sql, nullptr, nullptr, nullptr) == SQLITE_BUSY &&
           std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    execute(sql);
  }
  void execute(const char* sql) const {
    if (sqlite3_exec(db.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      fail("expected a store of findings that can be read and written");
  }
  Statement prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db.get(), sql, -1, &statement, nullptr) != SQLITE_OK)
      fail("expected a store of findings");
    return Statement(statement);
  }
  int64_t number(const char* sql) const {
    const Statement statement = prepare(sql);
    if (sqlite3_step(statement.get()) != SQLITE_ROW) fail("expected a store of findings");
    return sqlite3_column_int64(statement.get(), 0);
  }
  void open();
};

void Store::Impl::open() {
  sqlite3* opened = nullptr;
  const int status =
      sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  db.reset(opened);
  if (status != SQLITE_OK) fail("expected a file that can be opened");
  sqlite3_busy_timeout(opened, kBusyMilliseconds);
  execute_patiently("PRAGMA journal_mode = WAL");
  execute("PRAGMA synchronous = NORMAL");  // with WAL, a killed process loses nothing
  execute("BEGIN IMMEDIATE");
  const int64_t id = number("PRAGMA application_id"), version = number("PRAGMA user_version");
  const int64_t tables = number("SELECT count(*) FROM sqlite_master");
  if (tables > 0 && id != kApplicationId) {
    execute("ROLLBACK");
    throw InputError(file, "", "expected a store of findings; this database is another program's");
  }
  if (tables > 0 && version != kSchemaVersion) {
    execute("ROLLBACK");
    throw InputError(file, "",
                     fmt::format("expected a store of version {}; this one has version "
                                 "{}",
                                 kSchemaVersion, version));
  }
  execute(kSchema);
  execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str());
  execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
  execute("COMMIT");
}

Store::Store(const std::filesystem::path& file)
    : impl_(std::make_unique<Impl>(Impl{file.string(), nullptr})) {
  impl_->open();
}

Store::~Store() = default;

void Store::add(const Report::Item& item) {
  const Statement statement = impl_->prepare(kUpsert);
  const std::string json = item_to_json(item);
  const std::string* texts[] = {&item.finding.target, &item.finding.signature, nullptr,
                                &item.first_seen,     &item.last_seen,         &json};
  for (int k = 0; k < 6; ++k) {
    const int status = texts[k] ? sqlite3_bind_text64(statement.get(), k + 1, texts[k]->data(),
                                                      texts[k]->size(), SQLITE_STATIC, SQLITE_UTF8)
                                : sqlite3_bind_int64(statement.get(), k + 1, item.finding.count);
    if (status != SQLITE_OK) impl_->fail("expected a finding that fits");
  }
  if (sqlite3_step(statement.get()) != SQLITE_DONE)
    impl_->fail("expected a store of findings that can be written");
}

std::vector<Report::Item> Store::items() const {
  const Statement statement = impl_->prepare(
      "SELECT item, count, first_seen, last_seen FROM finding ORDER BY target, signature");
  const auto text_at = [&](int column) {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), column));
    const auto size = static_cast<size_t>(sqlite3_column_bytes(statement.get(), column));
    return bytes ? std::string(bytes, size) : std::string();
  };
  std::vector<Report::Item> items;
  int status = SQLITE_ROW;
  while ((status = sqlite3_step(statement.get())) == SQLITE_ROW) {
    items.push_back(item_from_json(text_at(0), impl_->file));
    items.back().finding.count = sqlite3_column_int64(statement.get(), 1);
    items.back().first_seen = text_at(2);
    items.back().last_seen = text_at(3);
  }
  if (status != SQLITE_DONE) impl_->fail("expected a store of findings");
  return items;
}

}  // namespace attnfuzz
