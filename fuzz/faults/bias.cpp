// Additive biases: explicit ones and ALiBi.
#include <cmath>
#include <cstdlib>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

double slope(int64_t h, int64_t heads) {
  return std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(heads));
}
double slope(const RowContext& context) {
  return slope(context.h, context.problem.num_heads);
}

/// The slopes of Press et al.'s code: for a number of heads that is no power of two, those of the
/// next lower power, then every other one of the next higher.
double published_slope(const RowContext& context) {
  int64_t power = 1;
  while (power * 2 <= context.problem.num_heads) power *= 2;
  return context.h < power ? slope(context.h, power) : slope(2 * (context.h - power), 2 * power);
}
double slope_from_zero(const RowContext& context) {
  return slope(context.h - 1, context.problem.num_heads);
}
double slope_of_key_heads(const RowContext& context) {
  return slope(context.problem.kv_head(context.h), context.problem.num_kv_heads);
}
double scaled_slope(const RowContext& context) {
  return slope(context) * context.problem.scale_value();
}
double raised_slope(const RowContext& context) {
  return -slope(context);
}

template <double (*slope_of)(const RowContext&)>
void apply_slope(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const double factor = slope_of(context);
  for (size_t j = 0; j < row.bias.size(); ++j) {
    row.bias[j] -= factor * static_cast<double>(std::abs(context.q_pos - context.key_pos[j]));
  }
}

/// slope · (key − query), which rewards keys after the query.
void apply_signed(const RuleUse&, const RowContext& context, const MaskRow& row) {
  const double factor = slope(context);
  for (size_t j = 0; j < row.bias.size(); ++j) {
    row.bias[j] += factor * static_cast<double>(context.key_pos[j] - context.q_pos);
  }
}

template <auto apply>
Rewritten alibi_by(Case c) {
  RuleUse* use = find(c, "alibi");
  if (use == nullptr) return {};
  *use = {&made_rule<apply, Kind::positional_bias>, {}};
  return c;
}

/// An inner bias times a factor.
template <double (*factor_of)(const RowContext&)>
void apply_times(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const RuleUse inner = unwrap(use);
  std::vector<double> bias(row.bias.size());
  inner.spec->apply(inner, context, {row.visible, bias});
  const double factor = factor_of(context);
  for (size_t j = 0; j < bias.size(); ++j) row.bias[j] += factor * bias[j];
}
double scale_of(const RowContext& context) {
  return context.problem.scale_value();
}
double minus_one(const RowContext&) {
  return -1;
}

template <auto apply>
Rewritten bias_by(Case c) {
  RuleUse* use = find(c, "bias");
  if (use == nullptr) return {};
  *use = {&made_rule<apply, Kind::bias>, wrap_values(*use)};
  return c;
}

void at_top_left(RowContext& context) {
  context.q_pos = context.i;
}
Rewritten alibi_top_left(const Case& c) {
  const bool moved =
      !c.cached() && c.problem.mask.align == Align::bottom_right && lengths_differ(c.problem);
  return moved ? changed<at_top_left>(c, "alibi") : std::nullopt;
}

Rewritten ordered(const Case& c, BiasOrder order) {
  if (c.problem.softcap == 0 || !c.problem.mask.adds_bias()) return {};
  return with(c, &Problem::bias_order, order);
}

constexpr Fault table[] = {
    {"bias-before-softcap", "the bias is added before the softcap, not after it",
     [](const Case& c) { return ordered(c, BiasOrder::before_softcap); }},
    {"bias-after-softcap", "the bias is added after the softcap, not before it",
     [](const Case& c) { return ordered(c, BiasOrder::after_softcap); }},
    {"bias-first-head", "the bias of the first head is used for all heads",
     [](const Case& c) { return changed<first_head>(c, "bias"); }},
    {"bias-first-row", "the bias of the first batch row is used for all rows",
     [](const Case& c) { return changed<first_row>(c, "bias"); }},
    {"bias-first-query", "the bias of the first query is used for all queries",
     [](const Case& c) { return changed<first_query>(c, "bias"); }},
    {"bias-transposed", "the bias is read as [key, query]",
     [](const Case& c) { return bias_by<apply_transposed>(c); }},
    {"bias-scaled", "the bias is multiplied by the scale as well",
     [](const Case& c) { return bias_by<apply_times<scale_of>>(c); }},
    {"bias-negated", "the bias has the wrong sign",
     [](const Case& c) { return bias_by<apply_times<minus_one>>(c); }},
    {"bias-heads-as-rows", "the bias's batch and head axes are swapped",
     [](const Case& c) { return changed<heads_and_rows_swapped>(c, "bias"); }},
    {"alibi-published-slopes",
     "ALiBi's slopes are those of its authors' code for a number of heads that is no power of two",
     [](const Case& c) { return alibi_by<apply_slope<published_slope>>(c); }},
    {"alibi-slopes-from-zero", "ALiBi's slopes begin with 1 (exponents counted from head 0)",
     [](const Case& c) { return alibi_by<apply_slope<slope_from_zero>>(c); }},
    {"alibi-slopes-of-kv-heads", "ALiBi's slopes are counted over KV heads, not query heads",
     [](const Case& c) { return alibi_by<apply_slope<slope_of_key_heads>>(c); }},
    {"alibi-scaled", "ALiBi's bias is multiplied by the scale as well",
     [](const Case& c) { return alibi_by<apply_slope<scaled_slope>>(c); }},
    {"alibi-raised", "ALiBi's bias has the wrong sign",
     [](const Case& c) { return alibi_by<apply_slope<raised_slope>>(c); }},
    {"alibi-signed-distance", "ALiBi's distance is signed, so that later keys gain",
     [](const Case& c) { return alibi_by<apply_signed>(c); }},
    {"alibi-first-head", "ALiBi's slope of the first head is used for all heads",
     [](const Case& c) { return changed<first_head>(c, "alibi"); }},
    {"alibi-top-left", "ALiBi's distances are counted as if query 0 stood at key 0",
     [](const Case& c) { return alibi_top_left(c); }},
    {"alibi-ignored", "ALiBi is not applied", [](const Case& c) { return without(c, "alibi"); }},
    {"bias-ignored", "the bias is not added", [](const Case& c) { return without(c, "bias"); }},
};

}  // namespace

std::span<const Fault> bias() {
  return table;
}

}  // namespace attnfuzz::fault
