#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "reports/report.h"

namespace attnfuzz {

class Database;

/// The findings: one row for each (target, signature), with the shrunk case, the cause, counts,
/// first and last seen. Written at once when a finding comes, so that a kill loses nothing. A file
/// (findings.sqlite), or a PostgreSQL database that many machines share ("postgresql://host/name").
/// Throws InputError for what is not such a store.
class Store {
 public:
  explicit Store(const std::string& where);
  ~Store();
  void add(const Report::Item& item);
  /// Adds the findings of a whole run with their counts, unless a run of this name has been added:
  /// then false.
  bool add_once(const std::string& run, std::span<const Report::Item> items);
  /// What the report of a DIR needs, without rerunning anything.
  std::vector<Report::Item> items() const;

 private:
  std::string where_;
  std::unique_ptr<Database> database_;
};

/// The findings of a store in a file, without making one there: what is no store throws InputError,
/// an empty file too.
std::vector<Report::Item> read_store(const std::string& file);

/// Whether the name of a store is a database's, not a file's.
bool is_database_url(std::string_view where);

}  // namespace attnfuzz
