#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "oracle/case.h"

namespace attnfuzz {

/// An option of a case that has a plainest value. The shrinker sets it, weight() counts it.
struct PlainOption {
  std::string_view words;  ///< "softcap off"
  bool (*is_plain)(const Case&);
  void (*make_plain)(Case&);
  uint64_t weight;
};

/// One line each, the most telling first.
std::span<const PlainOption> plain_options();

/// Where a list of row lengths is plainest: all that there is, over a cache the least.
inline int64_t plainest_length(const Case& c, const RuleParam& param) {
  return c.cached() ? param.min : c.problem.kv_len;
}

}  // namespace attnfuzz
