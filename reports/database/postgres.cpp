#include <fmt/format.h>
#ifdef ATTNFUZZ_POSTGRES
#include <libpq-fe.h>
#endif

#include <array>
#include <charconv>

#include "oracle/error.h"
#include "reports/database/database.h"
#include "reports/text.h"

namespace attnfuzz {

#ifdef ATTNFUZZ_POSTGRES
namespace {

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, ClearResult>;

/// Many at once may make the tables: they wait for each other at this number.
constexpr const char* lock_for_tables = "SELECT pg_advisory_xact_lock(1635018343)";  // "atfg"
constexpr const char* version_table =
    "CREATE TABLE IF NOT EXISTS attnfuzz_store (version INTEGER NOT NULL PRIMARY KEY)";

class Postgres final : public Database {
 public:
  /// `url` may hold a password: no error tells it.
  explicit Postgres(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
    if (PQstatus(connection_.get()) != CONNECTION_OK)
      fail("expected a database that can be reached");
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    PQsetClientEncoding(connection_.get(), "UTF8");
    begin();
    execute(lock_for_tables);
    make_tables();
    commit();
  }

  void begin() override { execute("BEGIN"); }
  void commit() override { execute("COMMIT"); }
  void rollback() override { execute("ROLLBACK"); }

  void add(const FindingRow& row) override {
    static const std::string sql = store_sql::add("least", "greatest");
    const std::string count = std::to_string(row.count);
    execute(sql, {row.target.c_str(), row.signature.c_str(), count.c_str(), row.first_seen.c_str(),
                  row.last_seen.c_str(), row.item.c_str()});
  }

  bool note_run(std::string_view run) override {
    const std::string name(run);
    return std::string_view(PQcmdTuples(execute(store_sql::note_run, {name.c_str()}).get())) == "1";
  }

  std::vector<FindingRow> rows() override {
    const Result result = execute(store_sql::rows);
    std::vector<FindingRow> all;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      const auto text = [&](int column) {
        return std::string(PQgetvalue(result.get(), row, column),
                           static_cast<size_t>(PQgetlength(result.get(), row, column)));
      };
      all.push_back({text(0), text(1), number(text(2)), text(3), text(4), text(5)});
    }
    return all;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw InputError(
        "postgresql", "",
        fmt::format("{} ({})", expected, text::line(PQerrorMessage(connection_.get()), 400)));
  }

  Result execute(const std::string& sql, const std::vector<const char*>& values = {}) const {
    Result result(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                               nullptr, values.data(), nullptr, nullptr, 0));
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
      fail("expected a store of findings that can be read and written");
    return result;
  }

  static int64_t number(const std::string& text) {
    int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  void make_tables() const {
    execute(version_table);
    const Result version = execute("SELECT version FROM attnfuzz_store");
    if (PQntuples(version.get()) == 0)
      execute(fmt::format("INSERT INTO attnfuzz_store VALUES ({})", store_sql::schema_version));
    else if (number(PQgetvalue(version.get(), 0, 0)) != store_sql::schema_version)
      throw InputError("postgresql", "",
                       fmt::format("expected a store of version {}; this one has version {}",
                                   store_sql::schema_version, PQgetvalue(version.get(), 0, 0)));
    execute(store_sql::finding_table);
    execute(store_sql::run_table);
  }

  std::unique_ptr<PGconn, CloseConnection> connection_;
};

}  // namespace

std::unique_ptr<Database> open_postgres(const std::string& url) {
  return std::make_unique<Postgres>(url);
}
#else
std::unique_ptr<Database> open_postgres(const std::string&) {
  throw InputError("--store", "", "expected a file: this attnfuzz was built without PostgreSQL");
}
#endif

}  // namespace attnfuzz
