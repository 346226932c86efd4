#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

std::optional<Twin> twin(const Case& c) {
  if (c.problem.batch < 2) return {};
  return rows_of(c, {chosen(c, 0, c.problem.batch - 1)});
}

}  // namespace

const Relation rows_alone = {
    .name = "rows-alone",
    .words = "a row of a batch gives what it gives alone",
    .cause =
        "Rows of the batch are mixed up: a batch stride, one row's length or padding used for "
        "another, or a count over the whole batch taken for a row's.",
    .twin = twin};

}  // namespace attnfuzz::relation
