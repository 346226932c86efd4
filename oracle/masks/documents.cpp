#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr RuleParam params[] = {{.name = "lens", .kind = RuleParam::Kind::lengths, .min = 1}};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  int64_t first = 0, last = -1;  // a query before or after all documents sees nothing
  int64_t begin = 0;
  for (const int64_t len : use.list("lens")) {
    if (context.q_pos >= begin && context.q_pos < begin + len) {
      first = begin;
      last = begin + len - 1;
    }
    begin += len;
  }
  keep_between(context, row, first, last);
}

}  // namespace

/// Packed sequences ("varlen"): `lens` are the documents' lengths, in order, for every row.
extern const RuleSpec documents;
const RuleSpec documents = {.name = "documents",
                            .words = "key and query are in the same document",
                            .params = params,
                            .positional = true,
                            .adds_bias = false,
                            .apply = apply,
                            .on_cache = false};

}  // namespace attnfuzz::masks
