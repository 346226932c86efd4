#pragma once
#include <rapidcheck.h>

#include <string_view>
#include <utility>
#include <vector>

#include "oracle/case.h"

/// What the oracle's own tests make their cases from.
namespace attnfuzz::testing {

inline RuleUse use(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}
inline ParamValue list(std::vector<int64_t> values) {
  return values;
}

/// Uniform, however far RapidCheck has got with growing its cases.
inline int64_t arbitrary(int64_t first, int64_t last) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<int64_t>(first, last + 1));
}
inline bool flip() {
  return arbitrary(0, 1) == 1;
}

inline ParamValue arbitrary_lens(const Problem& p) {
  std::vector<int64_t> lens;
  for (int64_t b = 0; b < p.batch; ++b) lens.push_back(arbitrary(0, p.kv_len));
  return lens;
}

/// Up to three rules.
inline void add_arbitrary_rules(Problem& p) {
  p.mask.align = flip() ? Align::top_left : Align::bottom_right;
  if (flip()) p.mask.rules.push_back(use("causal"));
  switch (arbitrary(0, 8)) {
    case 1:
      p.mask.rules.push_back(use("window", {arbitrary(0, 9), arbitrary(0, 9)}));
      break;
    case 2:
      p.mask.rules.push_back(use("chunk", {arbitrary(1, 9), arbitrary(0, 1)}));
      break;
    case 3:
      p.mask.rules.push_back(use("prefix", {arbitrary_lens(p)}));
      break;
    case 4:
      p.mask.rules.push_back(use("boolean", {arbitrary(0, 3), arbitrary(0, 100)}));
      break;
    case 5:
      p.mask.rules.push_back(use("bias", {arbitrary(0, 3)}));
      break;
    case 6:
      p.mask.rules.push_back(use("alibi"));
      break;
    default:
      break;
  }
  if (arbitrary(0, 2) == 0) {
    p.mask.rules.push_back(use("padding", {arbitrary(0, 1), arbitrary_lens(p)}));
  }
}

/// An uncached case with any of the options, small.
inline Case arbitrary_case(int64_t max_len = 24) {
  Case c;
  Problem& p = c.problem;
  p.batch = arbitrary(1, 3);
  p.num_kv_heads = arbitrary(1, 3);
  p.num_heads = p.num_kv_heads * arbitrary(1, 3);
  p.q_len = arbitrary(0, max_len);
  p.kv_len = arbitrary(0, max_len);
  p.head_dim = arbitrary(1, 20);
  p.head_dim_v = arbitrary(1, 20);
  p.layout = flip() ? Layout::bhsd : Layout::bshd;
  p.head_map = flip() ? HeadMap::grouped : HeadMap::interleaved;
  p.bias_order = flip() ? BiasOrder::after_softcap : BiasOrder::before_softcap;
  p.fully_masked = static_cast<FullyMasked>(arbitrary(0, 3));
  if (flip()) p.scale = static_cast<double>(arbitrary(-8, 16)) / 8;
  if (arbitrary(0, 3) == 0) p.softcap = static_cast<double>(arbitrary(1, 40)) / 8;
  p.sinks = arbitrary(0, 3) == 0;
  if (arbitrary(0, 3) == 0) p.memory_kv = arbitrary(1, 4);
  add_arbitrary_rules(p);
  c.data.seed = static_cast<uint64_t>(arbitrary(0, 1 << 30));
  c.data.dist = static_cast<Distribution>(arbitrary(0, 4));
  return c;
}

}  // namespace attnfuzz::testing
