#include <fmt/format.h>

#include "reports/database/database.h"

namespace attnfuzz::store_sql {

std::string add(std::string_view least, std::string_view greatest) {
  return fmt::format(R"(
INSERT INTO finding (target, signature, count, first_seen, last_seen, item)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (target, signature) DO UPDATE SET
  count = finding.count + excluded.count,
  first_seen = {}(finding.first_seen, excluded.first_seen),
  item = CASE WHEN excluded.last_seen >= finding.last_seen THEN excluded.item
              ELSE finding.item END,
  last_seen = {}(finding.last_seen, excluded.last_seen))",
                     least, greatest);
}

}  // namespace attnfuzz::store_sql
