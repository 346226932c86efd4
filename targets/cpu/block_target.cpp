#include "targets/cpu/block_target.h"

#include <fmt/format.h>

#include "targets/cpu/block_claims.h"

namespace attnfuzz {

std::string block_capabilities(std::string_view sizes, std::string_view tiles) {
  return fmt::format(R"({{
    "sizes": {}, "tiles": {}, "max_rules": 4, "precision": {}, "properties": ["deterministic", "batch_invariant"],
    "features": [{}, "cross", "longer_q", "rule:documents", "rule:padding", "padding.side:left",
      "padding.side:right", "rule:boolean", "boolean.shape:qk", "boolean.shape:bqk",
      "boolean.shape:hqk", "boolean.shape:bhqk", "rule:bias", "bias.shape:qk", "bias.shape:bqk",
      "bias.shape:hqk", "bias.shape:bhqk", "align:top_left", "align:bottom_right",
      "fully_masked:zero", "fully_masked:nan", "fully_masked:any", "nonfinite:inf_bias", "lse", "dq", "dk", "dv", "dbias",
      "dsinks", "dmem_k", "dmem_v"]
  }})",
                     sizes, tiles, block_precision, block_features);
}

}  // namespace attnfuzz
