#pragma once
#include <span>
#include <vector>

#include "oracle/case.h"
#include "reports/diagnose.h"

/// Rows of an output, and what those that are wrong can have in common.
namespace attnfuzz {

/// A query row of a case without a cache, and what can make it special.
struct Row {
  const Case& c;
  int64_t b, h, i;
  std::vector<int64_t> keys;  ///< that it sees
};

/// A step of one row of a cached case, and what can make it special.
struct StepRow {
  const Case& c;
  size_t s;
  int64_t b, past, total;  ///< positions of the row's next token before and after the step
};

template <class Of>
struct RowClass {
  std::string_view name, words;  ///< completes "the wrong rows are exactly those …"
  bool (*holds)(const Of&);
};
/// What the rows see, where they stand, and steps that ask for attention. The more telling first.
extern const std::span<const RowClass<Row>> key_classes, place_classes;
extern const std::span<const RowClass<StepRow>> step_classes;

/// Each row, and whether any of its elements is wrong.
template <class Of>
using JudgedRows = std::vector<std::pair<Of, bool>>;

/// The wrong rows are exactly those of the class; so it is of no rows at all.
template <class Of>
bool exactly(const RowClass<Of>& rows_of, const JudgedRows<Of>& rows) {
  for (const auto& [row, is_wrong] : rows)
    if (rows_of.holds(row) != is_wrong) return false;
  return true;
}

}  // namespace attnfuzz
