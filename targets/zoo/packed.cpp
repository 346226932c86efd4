// Sequences on one axis of tokens, found by cu_seqlens, with their mutants.
#include "targets/zoo/packed.h"

#include <algorithm>

namespace attnfuzz::zoo {
namespace {

using Lens = std::vector<int64_t>;

/// The lengths that the kernel goes by, as a rule's use that holds them.
RuleUse taken(const Context& x, const RuleUse& use) {
  const Mutation& m = x.m;
  Lens q_lens = use.list("q_lens"), kv_lens = use.list("kv_lens");
  if (m.is("packed-keys-by-queries"_line)) kv_lens = q_lens;
  if (m.is("packed-queries-by-keys"_line)) q_lens = kv_lens;
  if (m.is("packed-empty-dropped"_line)) {
    const auto count = q_lens.size();
    std::erase(q_lens, 0);
    q_lens.resize(count, 0);
  }
  return {use.spec, {q_lens, kv_lens}};
}

int64_t longest(const Lens& lens) {
  return lens.empty() ? 0 : *std::max_element(lens.begin(), lens.end());
}

constexpr Mutant table[] = {
    {"packed-ignored", "cu_seqlens are not passed on", Kernel::varlen, "packed-ignored"},
    {"packed-keys-by-queries", "cu_seqlens_q is passed for both", Kernel::varlen,
     "packed-keys-by-queries"},
    {"packed-queries-by-keys", "cu_seqlens_k is passed for both", Kernel::varlen,
     "packed-queries-by-keys"},
    {"packed-one-more", "k <= cu_seqlens[n + 1] for k < cu_seqlens[n + 1]", Kernel::varlen,
     "packed-one-more"},
    {"packed-one-less", "the last key of each sequence is cut off", Kernel::varlen,
     "packed-one-less"},
    {"packed-longest-offset", "max_seqlen_k - max_seqlen_q for the sequence's own lengths",
     Kernel::varlen, "packed-longest-offset"},
    {"packed-empty-dropped", "sequences without queries are dropped from cu_seqlens_q alone",
     Kernel::varlen, "packed-empty-dropped"},
};

}  // namespace

bool sees_packed(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (use.spec->name != "packed" || m.is("packed-ignored"_line)) return true;
  const PackedSequence own = sequence_of(taken(x, use), at.i);
  const int64_t end =
      own.kv_begin + own.kv_len + m.one("packed-one-more"_line) - m.one("packed-one-less"_line);
  return at.j >= own.kv_begin && at.j < end;
}

int64_t packed_position(const Context& x, const RuleUse& use, int64_t i, bool at_end) {
  const Mutation& m = x.m;
  if (m.is("packed-ignored"_line)) return i + (at_end ? x.problem.kv_len - x.problem.q_len : 0);
  const RuleUse lens = taken(x, use);
  const PackedSequence own = sequence_of(lens, i);
  const int64_t of_longest = longest(lens.list(1)) - longest(lens.list(0));
  const int64_t offset = m.either("packed-longest-offset"_line, of_longest, own.kv_len - own.q_len);
  return own.kv_begin + i - own.q_begin + (at_end ? offset : 0);
}

std::span<const Mutant> packed_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
