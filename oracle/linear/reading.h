#pragma once
#include <cstdint>

namespace attnfuzz {

/// How a recurrence may be misread. The plain one is right; alternatives have others. Chunks begin
/// anew with each step's tokens.
struct Reading {
  double gate_power = 1;         ///< 0: no decay; 2: each decay twice
  bool beta = true;              ///< false: beta is 1
  bool own_token = true;         ///< false: a query reads the state before its own token
  bool own_decay = false;        ///< true: a token decays as it comes, S = D (S' + k uᵀ)
  bool first_gate_dim = false;   ///< the gate's element 0 for all elements of the key
  bool first_gate_head = false;  ///< key head 0's gate for all heads
  bool past = true;              ///< false: each step begins with an empty state
  int64_t chunk = 0;             ///< where the following matter: at multiples of it; 0: nowhere
  double chunk_decay = 1;        ///< power of the decay of a chunk's first token
  bool chunk_last = true;        ///< false: a chunk's last token is no part of the state behind it
  bool chunk_state = true;       ///< false: a chunk begins with an empty state
};

}  // namespace attnfuzz
