#pragma once
#include "fuzz/relations/relation.h"

/// The relations: one file each.
namespace attnfuzz::relation {

extern const Relation repeat, split_step, one_by_one, rows_alone, neighbours, unpadded, pad_side,
    page_size, reorder_first, crop_never, shifted_chunks, scaled_values, permuted_keys,
    padding_content, infinite_bias, scaled_queries, masked_row, lifted_values, sequence_alone;

}  // namespace attnfuzz::relation
