#include "reports/store.h"

#include "reports/database/database.h"
#include "reports/item_json.h"

namespace attnfuzz {
namespace {

FindingRow row_of(const Report::Item& item) {
  return {item.finding.target, item.finding.signature, item.finding.count,
          item.first_seen,     item.last_seen,         item_to_json(item)};
}

std::vector<Report::Item> items_of(Database& database, const std::string& where) {
  std::vector<Report::Item> items;
  for (const FindingRow& row : database.rows()) {
    items.push_back(item_from_json(row.item, where));
    items.back().finding.count = row.count;
    items.back().first_seen = row.first_seen;
    items.back().last_seen = row.last_seen;
  }
  return items;
}

}  // namespace

bool is_database_url(std::string_view where) {
  return where.starts_with("postgresql://") || where.starts_with("postgres://");
}

Store::Store(const std::string& where)
    : where_(is_database_url(where) ? "postgresql" : where),
      database_(is_database_url(where) ? open_postgres(where) : open_sqlite(where)) {}

Store::~Store() = default;

void Store::add(const Report::Item& item) {
  database_->add(row_of(item));
}

bool Store::add_once(const std::string& run, std::span<const Report::Item> items) {
  database_->begin();
  try {
    const bool fresh = database_->note_run(run);
    if (fresh)
      for (const Report::Item& item : items) add(item);
    database_->commit();
    return fresh;
  } catch (...) {
    database_->rollback();
    throw;
  }
}

std::vector<Report::Item> Store::items() const {
  return items_of(*database_, where_);
}

std::vector<Report::Item> read_store(const std::string& file) {
  return items_of(*open_sqlite(file, Access::read), file);
}

}  // namespace attnfuzz
