#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

/// Tokens `begin` … begin + len − 1 of each batch row.
std::vector<Origin> part(const std::vector<Origin>& all, int64_t batch, int64_t begin,
                         int64_t len) {
  std::vector<Origin> kept;
  const int64_t whole = static_cast<int64_t>(all.size()) / std::max<int64_t>(1, batch);
  for (int64_t b = 0; b < batch; ++b) {
    const auto first = all.begin() + b * whole + begin;
    kept.insert(kept.end(), first, first + len);
  }
  return kept;
}

std::optional<Twin> twin(const Case& c) {
  const Problem& p = c.problem;
  if (p.mask.find("packed") == nullptr || p.fully_masked == FullyMasked::uniform) return {};
  for (const RuleUse& use : p.mask.rules)
    if (use.spec->by_place && use.spec->name != "packed") return {};
  std::vector<PackedSequence> asking = sequences(p);
  if (asking.size() < 2) return {};
  std::erase_if(asking, [](const PackedSequence& each) { return each.q_len == 0; });
  if (asking.empty()) return {};
  const PackedSequence one = asking[static_cast<size_t>(chosen(c, 0, std::ssize(asking) - 1))];
  Twin twin = same(c);
  twin.c.problem.q_len = one.q_len;
  twin.c.problem.kv_len = one.kv_len;
  if (const std::vector<int64_t>& all = p.rope_positions; !all.empty())
    twin.c.problem.rope_positions = {all.begin() + one.kv_begin,
                                     all.begin() + one.kv_begin + one.kv_len};
  for (RuleUse& use : twin.c.problem.mask.rules)
    if (use.spec->name == "packed") use.values = {std::vector{one.q_len}, std::vector{one.kv_len}};
  StepOrigins& step = twin.steps[0];
  step.queries = part(step.queries, p.batch, one.q_begin, one.q_len);
  step.keys = part(step.keys, p.batch, one.kv_begin, one.kv_len);
  return twin;
}

}  // namespace

const Relation sequence_alone = {
    .name = "sequence-alone",
    .words = "a sequence that is packed with others gives what it gives alone",
    .cause =
        "Packed sequences reach each other: an entry of cu_seqlens that is one off or another "
        "axis's, a tile that runs on into the next sequence, or a length taken for all.",
    .twin = twin};

}  // namespace attnfuzz::relation
