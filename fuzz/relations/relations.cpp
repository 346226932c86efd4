#include <algorithm>

#include "fuzz/relations/table.h"

namespace attnfuzz {

std::span<const Relation> relations() {
  using namespace relation;
  static const Relation table[] = {repeat,        split_step,      one_by_one,     rows_alone,
                                   neighbours,    unpadded,        pad_side,       page_size,
                                   reorder_first, crop_never,      shifted_chunks, scaled_values,
                                   permuted_keys, padding_content, infinite_bias,  scaled_queries,
                                   masked_row,    lifted_values,   sequence_alone};
  return table;
}

const Relation* find_relation(std::string_view name) {
  const std::span<const Relation> all = relations();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Relation& each) { return each.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace attnfuzz
