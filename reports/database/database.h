#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attnfuzz {

/// A row of the store's table of findings: what it says of the item, and the item itself as JSON.
struct FindingRow {
  std::string target, signature;
  int64_t count = 0;
  std::string first_seen, last_seen;  ///< ISO 8601, UTC: compare as text
  std::string item;
};

/// A database with the tables of a findings store. All of it throws InputError for a database that
/// is not such a store, or not within reach.
class Database {
 public:
  virtual ~Database() = default;
  virtual void begin() = 0;
  virtual void commit() = 0;
  virtual void rollback() = 0;
  /// Adds the row, or its count to the one that is there; the newest item stays.
  virtual void add(const FindingRow& row) = 0;
  /// Notes a run; false if it is noted already. Two that do so at once wait for each other.
  virtual bool note_run(std::string_view run) = 0;
  /// Sorted by target and signature.
  virtual std::vector<FindingRow> rows() = 0;
};

enum class Access { write, read };  ///< to read is to want tables that are there
std::unique_ptr<Database> open_sqlite(const std::string& file, Access access = Access::write);
std::unique_ptr<Database> open_postgres(const std::string& url);

/// The same text for both systems but for the names of two functions. Version 1 had no `run`.
namespace store_sql {

inline constexpr int schema_version = 2;
inline constexpr const char* finding_table = R"(
CREATE TABLE IF NOT EXISTS finding (
  target     TEXT NOT NULL,
  signature  TEXT NOT NULL,
  count      BIGINT NOT NULL,
  first_seen TEXT NOT NULL,
  last_seen  TEXT NOT NULL,
  item       TEXT NOT NULL,
  PRIMARY KEY (target, signature)
))";
/// Whole runs whose findings were added at once: a run is never added twice.
inline constexpr const char* run_table =
    "CREATE TABLE IF NOT EXISTS run (name TEXT NOT NULL PRIMARY KEY)";
inline constexpr const char* note_run = "INSERT INTO run (name) VALUES ($1) ON CONFLICT DO NOTHING";
inline constexpr const char* rows =
    "SELECT target, signature, count, first_seen, last_seen, item FROM finding "
    "ORDER BY target, signature";
/// With the names of the functions for the lesser and the greater of two texts.
std::string add(std::string_view least, std::string_view greatest);

}  // namespace store_sql
}  // namespace attnfuzz
