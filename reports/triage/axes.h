#pragma once
#include <cstdint>
#include <span>
#include <string_view>

/// What a number of an error text can count, and how likely a size is for it.
namespace attnfuzz::triage {

/// An axis of the tensors that attention code handles. Each has a letter, with which layouts.cpp
/// writes shapes: "bhqk" are scores.
enum class Axis : uint8_t {
  none,            ///< not told
  batch,           ///< b
  num_heads,       ///< h
  num_kv_heads,    ///< g
  group,           ///< r, query heads that share a KV head
  q_len,           ///< q
  kv_len,          ///< k
  past_len,        ///< a, tokens in a cache before the call
  memory_kv,       ///< M
  head_dim,        ///< d
  head_dim_v,      ///< e
  half_dim,        ///< D, pairs of features that are rotated together
  hidden,          ///< m, a layer's features
  q_hidden,        ///< H, num_heads * head_dim, where that is not hidden
  kv_hidden,       ///< n, num_kv_heads * head_dim
  batch_heads,     ///< B, batch * num_heads
  batch_kv_heads,  ///< G
  tokens,          ///< t, batch * q_len
  kv_tokens,       ///< u, batch * kv_len
  capacity,        ///< c, tokens that a cache has room for
  max_positions,   ///< x
  num_pages,       ///< p
  page_size,       ///< s
  window,          ///< w
  chunk,           ///< C
  pair,            ///< 2, keys and values in one tensor
  triple,          ///< 3, queries, keys and values in one tensor
  memory_and_kv,   ///< memory_kv + kv_len
  past_and_q,      ///< past_len + q_len
  qkv_hidden,      ///< Q, of queries, keys and values side by side
  state_dim,       ///< S, of a recurrence
  packed_head,     ///< P, a head's query, key and value side by side
  latent,          ///< L, keys and values compressed into one vector
  other,           ///< o, an axis that attention does not look at
  elements,        ///< of a whole tensor
  count
};

/// "kv_len", "batch*num_heads"; empty for none.
std::string_view name_of(Axis axis);
/// The axis with this name, none if there is none.
Axis axis_named(std::string_view name);
/// The axis of a layout's letter.
Axis axis_of_letter(char letter);

bool is_length(Axis axis);  ///< counts tokens of one sequence
bool is_heads(Axis axis);
bool is_features(Axis axis);  ///< of all heads side by side
/// Axes that name one thing here: num_heads and num_kv_heads where all heads have keys.
bool is_same_kind(Axis one, Axis other);

/// The logarithm of the probability that the axis has this size, where nothing else is known: from
/// the sizes that models have, and a broad tail.
double log_prior(Axis axis, int64_t size);

}  // namespace attnfuzz::triage
