#pragma once
#include "oracle/sample.h"

namespace attnfuzz {

/// The keys whose dk and dv are judged where sample_of() is not empty: edges of tiles first, in
/// some of the KV heads. Each takes a share of every query that sees it, so the softmax of all rows
/// is worked out, in blocks; what is saved are the products that belong to the other keys. `heads`
/// are pairs of batch row and KV head.
RowSample sample_keys(const Case& c);

}  // namespace attnfuzz
