#include <fmt/format.h>
#include <sqlite3.h>

#include <chrono>
#include <thread>

#include "oracle/error.h"
#include "reports/database/database.h"

namespace attnfuzz {
namespace {

constexpr int application_id = 0x61746667;  // "atfg", in the file's header: tells it from others
constexpr int busy_milliseconds = 30000;

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct CloseStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, CloseStatement>;

class Sqlite final : public Database {
 public:
  Sqlite(std::string file, Access access) : file_(std::move(file)) {
    sqlite3* opened = nullptr;
    const bool reads = access == Access::read;
    const int create = reads ? 0 : SQLITE_OPEN_CREATE;
    const int status =
        sqlite3_open_v2(file_.c_str(), &opened, SQLITE_OPEN_READWRITE | create, nullptr);
    db_.reset(opened);
    if (status != SQLITE_OK) fail("expected a file that can be opened");
    sqlite3_busy_timeout(opened, busy_milliseconds);
    if (reads) {
      if (is_fresh()) throw InputError(file_, "", "expected a store of findings; it has no tables");
      check_owner();
      return;
    }
    execute_patiently("PRAGMA journal_mode = WAL");
    execute("PRAGMA synchronous = NORMAL");  // with WAL, a killed process loses nothing
    begin();
    try {
      make_tables();
    } catch (...) {
      rollback();
      throw;
    }
    commit();
  }

  void begin() override { execute("BEGIN IMMEDIATE"); }
  void commit() override { execute("COMMIT"); }
  void rollback() override { execute("ROLLBACK"); }

  void add(const FindingRow& row) override {
    const Statement statement = prepare(store_sql::add("min", "max").c_str());
    bind(statement, 1, row.target);
    bind(statement, 2, row.signature);
    sqlite3_bind_int64(statement.get(), 3, row.count);
    bind(statement, 4, row.first_seen);
    bind(statement, 5, row.last_seen);
    bind(statement, 6, row.item);
    finish(statement);
  }

  bool note_run(std::string_view run) override {
    const Statement statement = prepare(store_sql::note_run);
    bind(statement, 1, run);
    finish(statement);
    return sqlite3_changes(db_.get()) > 0;
  }

  std::vector<FindingRow> rows() override {
    const Statement statement = prepare(store_sql::rows);
    const auto text = [&](int column) {
      const auto* bytes =
          reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), column));
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement.get(), column));
      return bytes ? std::string(bytes, size) : std::string();
    };
    std::vector<FindingRow> all;
    int status = SQLITE_ROW;
    while ((status = sqlite3_step(statement.get())) == SQLITE_ROW)
      all.push_back(
          {text(0), text(1), sqlite3_column_int64(statement.get(), 2), text(3), text(4), text(5)});
    if (status != SQLITE_DONE) fail("expected a store of findings");
    return all;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw InputError(file_, "", fmt::format("{} ({})", expected, sqlite3_errmsg(db_.get())));
  }

  void execute(const char* sql) const {
    if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      fail("expected a store of findings that can be read and written");
  }

  /// SQLite does not wait for its locks while it changes the journal's mode.
  void execute_patiently(const char* sql) const {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(busy_milliseconds);
    while (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_BUSY &&
           std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    execute(sql);
  }

  Statement prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql, -1, &statement, nullptr) != SQLITE_OK)
      fail("expected a store of findings");
    return Statement(statement);
  }

  void bind(const Statement& statement, int index, std::string_view text) const {
    if (sqlite3_bind_text64(statement.get(), index, text.data(), text.size(), SQLITE_STATIC,
                            SQLITE_UTF8) != SQLITE_OK)
      fail("expected a finding that fits");
  }

  void finish(const Statement& statement) const {
    if (sqlite3_step(statement.get()) != SQLITE_DONE)
      fail("expected a store of findings that can be written");
  }

  int64_t number(const char* sql) const {
    const Statement statement = prepare(sql);
    if (sqlite3_step(statement.get()) != SQLITE_ROW) fail("expected a store of findings");
    return sqlite3_column_int64(statement.get(), 0);
  }

  bool is_fresh() const { return number("SELECT count(*) FROM sqlite_master") == 0; }

  void check_owner() const {
    const int64_t id = number("PRAGMA application_id"), version = number("PRAGMA user_version");
    if (id != application_id)
      throw InputError(file_, "",
                       "expected a store of findings; this database is another program's");
    if (version < 1 || version > store_sql::schema_version)
      throw InputError(file_, "",
                       fmt::format("expected a store of version {}; this one has version {}",
                                   store_sql::schema_version, version));
  }

  void make_tables() const {
    if (!is_fresh()) check_owner();
    execute(store_sql::finding_table);
    execute(store_sql::run_table);
    execute(fmt::format("PRAGMA application_id = {}", application_id).c_str());
    execute(fmt::format("PRAGMA user_version = {}", store_sql::schema_version).c_str());
  }

  std::string file_;
  std::unique_ptr<sqlite3, CloseDatabase> db_;
};

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::string& file, Access access) {
  return std::make_unique<Sqlite>(file, access);
}

}  // namespace attnfuzz
