#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oracle/answer.h"
#include "oracle/case.h"
#include "oracle/feature_set.h"

namespace attnfuzz {

struct SizeRange {
  int64_t min = 1, max = 64, multiple_of = 1;
};

/// What holds for a target beyond the values: each is demanded of those that declare it.
enum class Property : uint8_t {
  deterministic,     ///< the same input gives the same bits
  batch_invariant,   ///< what a batch row gives does not depend on the other rows
  thread_invariant,  ///< nor on how many threads work (Target::use_threads)
};
template <>
inline constexpr std::array<std::string_view, 3> names_of<Property>{
    "deterministic", "batch_invariant", "thread_invariant"};

/// What a target claims, as data. A case is inside when its sizes are in the ranges, its features()
/// are all declared, and no exclusion or missing requirement applies.
///   {"sizes": {"batch": [1, 8], "head_dim": [8, 64, 8]}, "equal": [["q_len", "kv_len"]],
///    "features": ["dtype:f32", "rule:causal", "gqa"], "excludes": [["softcap", "rule:bias"]],
///    "requires": [["rule:window", "rule:causal"]],
///    "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 4}}, "max_rules": 2,
///    "tiles": {"kv_len": [16]}, "params": {"window.left": [0, 64]},
///    "compiled_for": ["batch", "q_len", "softcap"], "properties": ["deterministic"]}
/// A target that leaves out "properties" is held to be deterministic. Without "kind:softmax" but
/// with other kinds ("kind:linear") it claims those alone. Sizes not named are fixed to 1
/// (memory_kv, steps, capacity, page_size: 0), but num_kv_heads, head_dim_v and kv_len go with
/// num_heads, head_dim and q_len where no feature lets them differ. In a cached case q_len is each
/// step's, kv_len the most tokens that a row ever holds. `tiles` are edges worth aiming at.
/// `compiled_for` names sizes and features for each combination of which the target is compiled
/// anew (dtype and layout are always among them): a campaign changes them together, once in many
/// cases.
struct Capabilities {
  std::map<std::string, SizeRange> sizes;
  std::vector<std::pair<std::string, std::string>> equal;
  std::vector<std::string> features;  ///< sorted
  std::vector<std::vector<std::string>> excludes;
  std::vector<std::pair<std::string, std::string>> required;  ///< first needs second
  std::map<DType, Precision> precision;
  std::map<std::string, std::vector<int64_t>> tiles;
  std::map<std::string, SizeRange> params;
  int64_t max_rules = 3;
  std::vector<std::string> compiled_for;  ///< empty: it is compiled once
  std::vector<Property> properties{Property::deterministic};

  bool has(std::string_view feature) const;
  bool has(Property property) const;
  Precision precision_of(DType dtype) const;
  /// Empty if the case is inside; else the first reason why not ("head_dim 7 is not in [8, 64] by
  /// 8").
  std::string rejection_reason(const Case& c) const;
};

/// What precision_of() answers for a dtype that is not declared: all in f32, f64 for f64.
Precision default_precision(DType dtype);

/// The words that `sizes`, `equal` and `tiles` may name.
std::span<const std::string_view> size_names();

/// Strict reader for the JSON above; `where` names the target in errors.
Capabilities parse_capabilities(std::string_view json, const std::string& where);

/// The same as one line of JSON; parse_capabilities gives back an equal value.
std::string write_capabilities(const Capabilities& capabilities);

}  // namespace attnfuzz
