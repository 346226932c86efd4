// Sequences packed behind one another, each with its own lengths of queries and of keys.
#include <algorithm>
#include <utility>

#include "fuzz/cut_lens.h"
#include "fuzz/faults/rewrite.h"
#include "oracle/masks/rule.h"

namespace attnfuzz::fault {
namespace {

using Lens = std::vector<int64_t>;

Rewritten with_lens(Case c, Lens q_lens, Lens kv_lens) {
  RuleUse* use = find(c, "packed");
  cut_lens(q_lens, c.problem.q_len);
  cut_lens(kv_lens, c.problem.kv_len);
  if (use->list(0) == q_lens && use->list(1) == kv_lens) return {};
  use->values = {std::move(q_lens), std::move(kv_lens)};
  return c;
}

/// cu_seqlens of the queries for both axes, or those of the keys.
Rewritten one_list(const Case& c, size_t taken) {
  const RuleUse* use = c.problem.mask.find("packed");
  return use == nullptr ? std::nullopt : with_lens(c, use->list(taken), use->list(taken));
}

/// Sequences without queries dropped from the lengths of queries alone: those behind them meet the
/// keys of others.
Rewritten empty_dropped(const Case& c) {
  const RuleUse* use = c.problem.mask.find("packed");
  if (use == nullptr) return {};
  Lens q_lens = use->list(0);
  std::erase(q_lens, 0);
  q_lens.resize(use->list(0).size(), 0);
  return with_lens(c, q_lens, use->list(1));
}

/// A rule that goes by the name of the one that it stands for: positions follow its lengths.
template <auto apply>
constexpr RuleSpec like_packed{.name = "packed",
                               .words = "",
                               .params = {},
                               .positional = false,
                               .adds_bias = false,
                               .apply = apply};

template <auto apply>
Rewritten shown(Case c) {
  RuleUse* use = find(c, "packed");
  if (use == nullptr) return {};
  use->spec = &like_packed<apply>;
  return c;
}

void show_until(const RuleUse& use, const RowContext& context, const MaskRow& row, int64_t more) {
  const PackedSequence own = sequence_of(use, context.i);
  masks::keep_between(context, row, own.kv_begin, own.kv_begin + own.kv_len - 1 + more);
}
void show_one_more(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  show_until(use, context, row, 1);
}
void show_one_less(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  show_until(use, context, row, -1);
}

/// Where the sequences' queries stand if the longest ones' lengths are taken for those of all.
Plan aligned_by_longest(const Case& c) {
  Plan plan = lower(c);
  int64_t q_len = 0, kv_len = 0;
  const std::vector<PackedSequence> all = sequences(c.problem);
  for (const PackedSequence& each : all) {
    q_len = std::max(q_len, each.q_len);
    kv_len = std::max(kv_len, each.kv_len);
  }
  for (RowPlan& row : plan.steps.front().rows) {
    row.queries.clear();
    for (const PackedSequence& each : all) {
      const int64_t position = each.kv_begin + kv_len - q_len;
      if (each.q_len > 0) row.queries.push_back({each.q_begin, position, position, each.q_len});
    }
  }
  return plan;
}
Rewritten by_longest(const Case& c) {
  const bool moves = c.problem.mask.find("packed") != nullptr &&
                     c.problem.mask.align == Align::bottom_right && lengths_differ(c.problem);
  return moves && !c.problem.asks_gradients() ? Rewritten(c) : std::nullopt;
}

constexpr Fault table[] = {
    {"packed-longest-offset",
     "each packed sequence is aligned by the longest sequences' lengths, not by its own",
     by_longest, Fault::Of::softmax, nullptr, aligned_by_longest},
    {"packed-one-more", "a query also sees the key behind its packed sequence",
     [](const Case& c) { return shown<show_one_more>(c); }},
    {"packed-one-less", "a query does not see the last key of its packed sequence",
     [](const Case& c) { return shown<show_one_less>(c); }},
    {"packed-keys-by-queries", "the packed sequences' keys begin and end where the queries do",
     [](const Case& c) { return one_list(c, 0); }},
    {"packed-queries-by-keys", "the packed sequences' queries begin and end where the keys do",
     [](const Case& c) { return one_list(c, 1); }},
    {"packed-empty-dropped",
     "packed sequences without queries are left out of the queries' lengths, but not of the keys'",
     empty_dropped},
    {"packed-ignored", "the packed sequences are not kept apart",
     [](const Case& c) { return without(c, "packed"); }},
};

}  // namespace

std::span<const Fault> packed() {
  return table;
}

}  // namespace attnfuzz::fault
