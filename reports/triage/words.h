#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "reports/triage/axes.h"

/// What the words of code and of error texts say: names are taken apart, so that
/// num_key_value_heads, numKVHeads and "the number of KV heads" are one thing.
namespace attnfuzz::triage {

/// What a tensor is in attention code.
enum class Role : uint8_t {
  none,
  q,
  k,
  v,
  out,     ///< p·v
  scores,  ///< q·k, and the weights p
  mask,
  bias,    ///< added to the scores: ALiBi, relative positions
  rotary,  ///< a table of cosines and sines
  cache,   ///< keys or values of earlier tokens, one buffer or list
  pages,   ///< a cache in pages
  table,   ///< which pages a row has
  hidden,  ///< a layer's input, before or after the heads
  weight,  ///< of a projection
  state,   ///< of a recurrence
  gate,    ///< decays, betas
  ids,     ///< token or position numbers
  memory,  ///< learned keys and values before all others
  count
};
/// "rotary table", for sentences.
std::string_view name_of(Role role);

/// The words of a name or a phrase, in lower case: "numKVHeads" is num, kv, heads.
std::vector<std::string> words_of(std::string_view text);

/// What a name or phrase says of a tensor, and how strongly (0: nothing).
struct RoleGuess {
  Role role = Role::none;
  double strength = 0;
};
RoleGuess role_of(std::string_view text);

/// The axis that a name or phrase is about ("head_size", "number of heads in key"). A single letter
/// is only a hint.
struct AxisGuess {
  Axis axis = Axis::none;
  double strength = 0;      ///< 0 to 1
  bool any_length = false;  ///< a length of queries or of keys: "seq_len"
};
AxisGuess axis_of(std::string_view text);

/// What the words behind a number say that it counts: "query heads" of " query heads, 2 key heads".
AxisGuess axis_counted(std::string_view after);

}  // namespace attnfuzz::triage
