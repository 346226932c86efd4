#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "oracle/case.h"

namespace attnfuzz {

/// Kinds of attention that carry a state S [head_dim, head_dim_v] for each KV head, in tokens'
/// order, from zero (S' is what the token before left; a document begins at zero again):
///   S = D S' + k uᵀ;  out = scale · Sᵀ q  (a query reads the state with its own token in it)
/// D = diag(exp(gate)) by the kind's gate, and u = v, or, by the delta rule, u = beta (v − (D S')ᵀ
/// k). A row of a cached case holds its state from step to step; the padding of a ragged step does
/// not touch it. Such a problem has q_len = kv_len and the mask that says what a recurrence does:
/// the rule "causal", and "documents" where sequences are packed.
enum class Gate : uint8_t {
  none,   ///< D = 1
  fixed,  ///< 1 − 2^(−5 − g) for KV head g (RetNet), no input
  head,   ///< input "gate" [batch, num_kv_heads, len]: the decay's logarithm
  key,    ///< input "gate" [batch, num_kv_heads, len, head_dim]: one for each row of S
};

struct KindTraits {
  Gate gate = Gate::none;
  bool beta = false;  ///< input "beta" [batch, num_kv_heads, len], and the delta rule
};
KindTraits traits(ProblemKind kind);

/// log(1 − 2^(−5 − g)): the fixed decay of KV head g.
double fixed_gate(int64_t g);

/// Whether a feature word ("softcap", "rule:window", "cache:paged") has no meaning with a state.
bool is_softmax_only(std::string_view word);

}  // namespace attnfuzz
