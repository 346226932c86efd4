#include "oracle/lower/visible.h"

#include <algorithm>

#include "oracle/lower/cache_history.h"

namespace attnfuzz {

void show_keys(const Case& c, const MaskedQuery& query, std::span<const int64_t> positions,
               const MaskRow& row) {
  const Problem& p = c.problem;
  std::fill(row.visible.begin(), row.visible.end(), uint8_t{1});
  std::fill(row.bias.begin(), row.bias.end(), 0.0);
  mask_row({p, c.data, query.b, query.h, query.i, query.position, positions,
            c.cached() ? 0 : first_token(p, query.b), static_cast<int>(query.step)},
           row);
  if (!c.cached()) return;
  const int64_t g = p.kv_head(query.h);
  for (size_t j = 0; j < row.visible.size(); ++j)
    row.visible[j] &= static_cast<uint8_t>(cache_shows(*c.cache, query.position, positions[j], g));
}

}  // namespace attnfuzz
