// All tensors in the other layout.
#include <algorithm>
#include <utility>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

/// [batch, len, heads, dim] read as [batch, heads, len, dim], or the other way round: the same
/// bytes, of shapes with the same numbers, are those of a problem with heads and tokens swapped.
Rewritten heads_as_tokens(Case c) {
  Problem& p = c.problem;
  const bool square = p.num_heads == p.num_kv_heads && p.q_len == p.kv_len;
  const bool plain = !c.cached() && !p.sinks && p.memory_kv == 0 && !p.has_dropout() &&
                     std::all_of(p.mask.rules.begin(), p.mask.rules.end(),
                                 [](const RuleUse& use) { return use.spec->params.empty(); }) &&
                     !p.mask.adds_bias();
  if (!square || !plain || p.num_heads * p.q_len <= 1) return {};
  p.layout = p.layout == Layout::bhsd ? Layout::bshd : Layout::bhsd;
  std::swap(p.num_heads, p.q_len);
  p.num_kv_heads = p.num_heads;
  p.kv_len = p.q_len;
  return c;
}

constexpr Fault table[] = {
    {"heads-as-tokens", "the head axis of all tensors is taken for the token axis",
     [](const Case& c) { return heads_as_tokens(c); }, Fault::Of::any},
};

}  // namespace

std::span<const Fault> layout() {
  return table;
}

}  // namespace attnfuzz::fault
