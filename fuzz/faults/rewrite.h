#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "fuzz/faults/fault.h"
#include "oracle/case.h"

namespace attnfuzz::fault {

using Rewritten = std::optional<Case>;

// The groups that make up the table: one file each.
std::span<const Fault> position();
std::span<const Fault> mask();
std::span<const Fault> bias();
std::span<const Fault> sparse();
std::span<const Fault> packed();
std::span<const Fault> rope_scaling();
std::span<const Fault> strides();
std::span<const Fault> score();
std::span<const Fault> cache();
std::span<const Fault> state();
std::span<const Fault> tensors();
std::span<const Fault> layout();
std::span<const Fault> keys();
std::span<const Fault> backward();
std::span<const Fault> cached_reads();

/// The use of a rule by a case, nullptr if it does not use it.
RuleUse* find(Case& c, std::string_view rule);

/// The case without the rule; none if it does not use it.
Rewritten without(Case c, std::string_view rule);

/// The case with an integer of a rule moved by `by`; none if it would go below `min`.
Rewritten moved(Case c, std::string_view rule, size_t param, int64_t by, int64_t min);

/// The case with a rule's number for each batch row moved by `by`, kept within [0, kv_len].
Rewritten moved_lens(Case c, std::string_view rule, size_t param, int64_t by);

/// What a rule of a fault is: it hides keys or adds a bias, at its place or by positions.
enum class Kind : uint8_t { hiding, positional, bias, positional_bias };

/// A rule that no case file can use; wrong readings of a mask are made of them.
template <auto apply, Kind kind = Kind::hiding>
inline constexpr RuleSpec made_rule{
    .name = "of a fault",
    .words = "",
    .params = {},
    .positional = kind == Kind::positional || kind == Kind::positional_bias,
    .adds_bias = kind == Kind::bias || kind == Kind::positional_bias,
    .apply = apply};

template <class T>
Rewritten with(Case c, T Problem::*member, T value) {
  if (c.problem.*member == value) return std::nullopt;
  c.problem.*member = value;
  return c;
}

/// A rule whose context another function has changed first. It keeps the inner rule by its place in
/// rule_table(), before the inner rule's own values.
using Change = void (*)(RowContext& context);
inline void first_head(RowContext& context) {
  context.h = 0;
}
inline void first_query(RowContext& context) {
  context.i = 0;
}
inline void first_row(RowContext& context) {
  context.b = 0;
}
inline void heads_and_rows_swapped(RowContext& context) {
  std::swap(context.b, context.h);
}
RuleUse unwrap(const RuleUse& use);
std::vector<ParamValue> wrap_values(const RuleUse& inner);

template <Change change>
void apply_changed(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  RowContext other = context;
  change(other);
  const RuleUse inner = unwrap(use);
  inner.spec->apply(inner, other, row);
}

template <Change change>
RuleUse wrap(const RuleUse& inner) {
  return {inner.spec->adds_bias ? &made_rule<apply_changed<change>, Kind::positional_bias>
                                : &made_rule<apply_changed<change>, Kind::positional>,
          wrap_values(inner)};
}

/// An inner rule over [query, key] that is read as [key, query].
void apply_transposed(const RuleUse& use, const RowContext& context, const MaskRow& row);

/// The case with one rule wrapped; none if it does not use it.
template <Change change>
Rewritten changed(Case c, std::string_view rule) {
  RuleUse* use = find(c, rule);
  if (use == nullptr) return std::nullopt;
  *use = wrap<change>(*use);
  return c;
}

/// The case with all positional rules wrapped; none if it has none.
template <Change change>
Rewritten changed_positions(Case c) {
  bool any = false;
  for (RuleUse& use : c.problem.mask.rules) {
    if (!use.spec->positional) continue;
    use = wrap<change>(use);
    any = true;
  }
  return any ? Rewritten(std::move(c)) : std::nullopt;
}

}  // namespace attnfuzz::fault
