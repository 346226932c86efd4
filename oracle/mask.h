#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "oracle/names.h"

namespace attnfuzz {

struct Problem;
struct Data;

/// Where query 0 stands among the keys when q_len ≠ kv_len: at key 0, or such that the last query
/// stands at the last key (key kv_len − q_len).
enum class Align : uint8_t { top_left, bottom_right };
template <>
inline constexpr std::array<std::string_view, 2> names_of<Align>{"top_left", "bottom_right"};

/// One parameter of a mask rule: enough to read, check, generate, shrink and describe it.
struct RuleParam {
  enum class Kind : uint8_t {
    integer,    ///< int64_t in [min, max]
    choice,     ///< int64_t index into `choices`
    per_batch,  ///< one int64_t in [min, kv_len] for each batch row (cached: [min, max])
    lengths,    ///< positive integers that sum to kv_len (shared by the batch)
    parents,  ///< of each node of a tree an earlier one's number, −1: none; at most kv_len nodes
    q_lens,   ///< numbers of at least 0 that sum to q_len,
    kv_lens,  ///< and as many that sum to kv_len
  };
  std::string_view name;
  Kind kind;
  int64_t min = 0;
  std::span<const std::string_view> choices = {};
  int64_t max = std::numeric_limits<int32_t>::max();
};
using ParamValue = std::variant<int64_t, std::vector<int64_t>>;

struct RuleUse;

/// What a rule may look at to decide on one query row.
struct RowContext {
  const Problem& problem;
  const Data& data;
  int64_t b, h, i;                   ///< batch row, query head, query
  int64_t q_pos;                     ///< the query's position on the keys' axis (from Align)
  std::span<const int64_t> key_pos;  ///< positions of the keys; 0…kv_len−1 without a cache
  int64_t first_token;               ///< position of the row's first real token (left padding)
  int step;                          ///< step of a cached case, 0 without a cache
};

/// The row's answer, ANDed (visible) and added (bias) over the rules of a mask.
struct MaskRow {
  std::span<uint8_t> visible;  ///< [kv_len], starts as 1
  std::span<double> bias;      ///< [kv_len], starts as 0, in units of the scaled score; may be
                               ///< empty where no rule of the mask adds a bias
};

/// A mask rule: one file in oracle/masks/ and one line in the table of mask.cpp.
struct RuleSpec {
  std::string_view name;
  std::string_view words;  ///< "key j is seen by query i if …", for `show` and reports
  std::span<const RuleParam> params;
  bool positional;  ///< depends on Align when q_len ≠ kv_len
  bool adds_bias;   ///< adds to the score (and hides nothing)
  void (*apply)(const RuleUse&, const RowContext&, const MaskRow&);
  bool on_cache = true;   ///< has a meaning over a cache (is a matter of positions alone)
  bool by_place = false;  ///< goes by the numbers of batch row, query and key, not by positions
  bool drawn = false;     ///< takes numbers from the seed that no given tensor can stand for
};

struct RuleUse {
  const RuleSpec* spec = nullptr;
  std::vector<ParamValue> values;  ///< in the order of spec->params

  int64_t integer(size_t k) const { return std::get<int64_t>(values[k]); }
  const std::vector<int64_t>& list(size_t k) const {
    return std::get<std::vector<int64_t>>(values[k]);
  }
  /// The same by the parameter's name.
  int64_t integer(std::string_view param) const { return integer(place(param)); }
  const std::vector<int64_t>& list(std::string_view param) const { return list(place(param)); }
  /// The word that a choice stands at.
  std::string_view choice(std::string_view param) const;
  size_t place(std::string_view param) const;
  bool operator==(const RuleUse&) const = default;
};

/// The conjunction of its rules.
struct Mask {
  Align align = Align::top_left;
  std::vector<RuleUse> rules;

  const RuleUse* find(std::string_view rule) const;
  bool adds_bias() const;  ///< some rule does
  bool operator==(const Mask&) const = default;
};

std::span<const RuleSpec* const> rule_table();
const RuleSpec* find_rule(std::string_view name);

/// Queries and keys that have to do with each other alone: all of a problem, or one of the
/// sequences that the rule "packed" puts behind one another.
struct PackedSequence {
  int64_t q_begin = 0, q_len = 0, kv_begin = 0, kv_len = 0;

  /// Position of its first query on the keys' axis.
  int64_t first_position(Align align) const {
    return kv_begin + (align == Align::top_left ? 0 : kv_len - q_len);
  }
};
std::vector<PackedSequence> sequences(const Problem& problem);
/// That of query i by the rule's lengths; an empty one where the query is in none.
PackedSequence sequence_of(const RuleUse& packed, int64_t i);
/// Whether some sequence has more queries than keys or fewer (without a cache), and more.
bool lengths_differ(const Problem& problem);
bool has_longer_q(const Problem& problem);

/// Position of query i on the keys' axis, by the mask's Align (without a cache).
int64_t query_position(const Problem& problem, int64_t i);
/// Position of row b's first real token: not 0 with left padding only.
int64_t first_token(const Problem& problem, int64_t b);

/// One row of the mask of a problem (all rules).
void mask_row(const RowContext& context, const MaskRow& row);

/// The whole mask of a problem without a cache. bias is empty when no rule adds any.
struct DenseMask {
  int64_t batch, heads, q_len, kv_len;
  std::vector<uint8_t> visible;  ///< [batch, heads, q_len, kv_len]
  std::vector<double> bias;      ///< the same shape
};
DenseMask dense_mask(const Problem& problem, const Data& data);

}  // namespace attnfuzz
