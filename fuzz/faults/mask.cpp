// Padding, documents and explicit boolean masks; rows that see nothing; what a softcap uncovers.
#include <algorithm>
#include <limits>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

Rewritten padding_side(Case c, int64_t side) {
  RuleUse* use = find(c, "padding");
  if (use == nullptr || use->integer(0) == side) return {};
  use->values[0] = side;
  return c;
}

Rewritten padding_of_first_row(Case c) {
  RuleUse* use = find(c, "padding");
  if (use == nullptr || c.problem.batch < 2) return {};
  auto& lens = std::get<std::vector<int64_t>>(use->values[1]);
  std::fill(lens.begin(), lens.end(), lens[0]);
  return c;
}

Rewritten documents_first_boundary(Case c, int64_t by) {
  RuleUse* use = find(c, "documents");
  if (use == nullptr || use->list(0).size() < 2) return {};
  auto& lens = std::get<std::vector<int64_t>>(use->values[0]);
  for (size_t k = 0; k + 1 < lens.size(); ++k) lens[k] += k == 0 ? by : 0;
  lens.back() -= by;
  return c;
}

void apply_inverted(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  std::vector<uint8_t> set(row.visible.size(), 1);
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, context, {set, {}});
  for (size_t j = 0; j < set.size(); ++j) row.visible[j] &= static_cast<uint8_t>(1 - set[j]);
}

Rewritten boolean_inverted(Case c) {
  RuleUse* use = find(c, "boolean");
  if (use == nullptr) return {};
  *use = {&made_rule<apply_inverted>, wrap_values(*use)};
  return c;
}

Rewritten boolean_transposed(Case c) {
  RuleUse* use = find(c, "boolean");
  if (use == nullptr) return {};
  *use = {&made_rule<apply_transposed>, wrap_values(*use)};
  return c;
}

Rewritten fully_masked(const Case& c, FullyMasked gives) {
  if (c.problem.sinks || c.problem.memory_kv > 0) return {};
  return with(c, &Problem::fully_masked, gives);
}

/// What is hidden has the score −∞ before the softcap, and −softcap behind it.
void apply_uncovered(const RuleUse&, const RowContext&, const MaskRow& row) {
  for (size_t j = 0; j < row.visible.size(); ++j) {
    if (row.visible[j] != 0) continue;
    row.visible[j] = 1;
    if (!row.bias.empty()) row.bias[j] = -std::numeric_limits<double>::infinity();
  }
}
Rewritten softcap_after_mask(Case c) {
  const auto& rules = c.problem.mask.rules;
  const bool hides = std::any_of(rules.begin(), rules.end(),
                                 [](const RuleUse& use) { return !use.spec->adds_bias; });
  if (c.problem.softcap == 0 || !hides) return {};
  c.problem.bias_order = BiasOrder::before_softcap;
  c.problem.mask.rules.push_back({&made_rule<apply_uncovered, Kind::bias>, {}});
  return c;
}

constexpr Fault table[] = {
    {"softcap-after-mask",
     "the softcap is applied after the mask, so that a hidden key's score is -softcap",
     [](const Case& c) { return softcap_after_mask(c); }},
    {"padding-left", "the padding is on the left of each row, not on the right",
     [](const Case& c) { return padding_side(c, 0); }},
    {"padding-right", "the padding is on the right of each row, not on the left",
     [](const Case& c) { return padding_side(c, 1); }},
    {"padding-plus-one", "each row has one more real token",
     [](const Case& c) { return moved_lens(c, "padding", 1, 1); }},
    {"padding-minus-one", "each row has one real token less",
     [](const Case& c) { return moved_lens(c, "padding", 1, -1); }},
    {"padding-first-row", "every batch row is padded like the first",
     [](const Case& c) { return padding_of_first_row(c); }},
    {"documents-plus-one", "the first document is one token longer",
     [](const Case& c) { return documents_first_boundary(c, 1); }, Fault::Of::any},
    {"documents-minus-one", "the first document is one token shorter",
     [](const Case& c) { return documents_first_boundary(c, -1); }, Fault::Of::any},
    {"boolean-inverted", "the boolean mask is read the other way round (set means hidden)",
     [](const Case& c) { return boolean_inverted(c); }},
    {"boolean-first-head", "the boolean mask of the first head is used for all heads",
     [](const Case& c) { return changed<first_head>(c, "boolean"); }},
    {"boolean-first-row", "the boolean mask of the first batch row is used for all rows",
     [](const Case& c) { return changed<first_row>(c, "boolean"); }},
    {"boolean-first-query", "the boolean mask of the first query is used for all queries",
     [](const Case& c) { return changed<first_query>(c, "boolean"); }},
    {"boolean-transposed", "the boolean mask is read as [key, query]",
     [](const Case& c) { return boolean_transposed(c); }},
    {"boolean-heads-as-rows", "the boolean mask's batch and head axes are swapped",
     [](const Case& c) { return changed<heads_and_rows_swapped>(c, "boolean"); }},
    {"padding-ignored", "the padding is not hidden",
     [](const Case& c) { return without(c, "padding"); }},
    {"documents-ignored", "documents are not kept apart",
     [](const Case& c) { return without(c, "documents"); }, Fault::Of::any},
    {"boolean-ignored", "the boolean mask is not applied",
     [](const Case& c) { return without(c, "boolean"); }},
    {"fully-masked-zero", "rows that see no key give zeros",
     [](const Case& c) { return fully_masked(c, FullyMasked::zero); }},
    {"fully-masked-nan", "rows that see no key give NaN",
     [](const Case& c) { return fully_masked(c, FullyMasked::nan); }},
    {"fully-masked-uniform", "rows that see no key give the mean of all values",
     [](const Case& c) { return fully_masked(c, FullyMasked::uniform); }},
};

}  // namespace

std::span<const Fault> mask() {
  return table;
}

}  // namespace attnfuzz::fault
