// Scale, softcap, sinks, memory keys and the heads' map.
#include <cmath>
#include <numbers>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz::fault {
namespace {

Rewritten scaled(Case c, double scale) {
  if (scale == c.problem.scale_value()) return {};
  c.problem.scale = scale;
  return c;
}

double per_root(double size) {
  return 1 / std::sqrt(size);
}

/// cap · tanh(q·k / cap) · scale is the softcap `cap · scale` of the scaled score.
Rewritten softcap_before_scale(Case c) {
  const double cap = c.problem.softcap * c.problem.scale_value();
  if (c.problem.softcap == 0 || cap <= 0 || cap == c.problem.softcap) return {};
  c.problem.softcap = cap;
  return c;
}

/// tanh(s / cap) is the softcap 1 of s / cap; cap · tanh(s) the softcap `cap` of cap · s.
Rewritten softcap_not_multiplied(Case c) {
  if (c.problem.softcap == 0 || c.problem.softcap == 1 || c.problem.mask.adds_bias()) return {};
  c.problem.scale = c.problem.scale_value() / c.problem.softcap;
  c.problem.softcap = 1;
  return c;
}
Rewritten softcap_not_divided(Case c) {
  if (c.problem.softcap == 0 || c.problem.softcap == 1 || c.problem.mask.adds_bias()) return {};
  c.problem.scale = c.problem.scale_value() * c.problem.softcap;
  return c;
}

/// 2^s is e^(s ln 2).
Rewritten base_2(Case c) {
  if (c.problem.mask.adds_bias() || c.problem.sinks) return {};
  c.problem.scale = c.problem.scale_value() * std::numbers::ln2;
  c.problem.softcap *= std::numbers::ln2;
  return c;
}

double padded_dim(const Case& c, int64_t multiple) {
  const int64_t tiles = (c.problem.head_dim + multiple - 1) / multiple;
  return static_cast<double>(tiles * multiple);
}

Rewritten head_map(const Case& c, HeadMap map) {
  const bool grouped = c.problem.num_kv_heads > 1 && c.problem.num_kv_heads < c.problem.num_heads;
  return grouped ? with(c, &Problem::head_map, map) : std::nullopt;
}

constexpr Fault table[] = {
    {"head-map-interleaved", "query head h uses KV head h mod num_kv_heads",
     [](const Case& c) { return head_map(c, HeadMap::interleaved); }, Fault::Of::any},
    {"head-map-grouped", "query head h uses KV head h / (num_heads / num_kv_heads)",
     [](const Case& c) { return head_map(c, HeadMap::grouped); }, Fault::Of::any},
    {"scale-of-head-dim-v", "scores are scaled by 1/sqrt(head_dim_v)",
     [](const Case& c) { return scaled(c, per_root(static_cast<double>(c.problem.head_dim_v))); },
     Fault::Of::any},
    {"scale-of-hidden", "scores are scaled by 1/sqrt(num_heads · head_dim)",
     [](const Case& c) {
       return scaled(c, per_root(static_cast<double>(c.problem.num_heads * c.problem.head_dim)));
     },
     Fault::Of::any},
    {"scale-of-head-dim", "scores are scaled by 1/head_dim, without the root",
     [](const Case& c) { return scaled(c, 1 / static_cast<double>(c.problem.head_dim)); },
     Fault::Of::any},
    {"scale-of-padded-dim-8", "head_dim is rounded up to a multiple of 8 for the scale",
     [](const Case& c) { return scaled(c, per_root(padded_dim(c, 8))); }},
    {"scale-of-padded-dim-32", "head_dim is rounded up to a multiple of 32 for the scale",
     [](const Case& c) { return scaled(c, per_root(padded_dim(c, 32))); }},
    {"scale-of-whole-root", "the root of head_dim is rounded down for the scale",
     [](const Case& c) {
       return scaled(c, 1 / std::floor(std::sqrt(static_cast<double>(c.problem.head_dim))));
     }},
    {"scale-twice", "the scale is applied twice",
     [](const Case& c) { return scaled(c, c.problem.scale_value() * c.problem.scale_value()); },
     Fault::Of::any},
    {"scale-root", "only the root of the scale is applied (to q or k alone)",
     [](const Case& c) {
       const double scale = c.problem.scale_value();
       return scale > 0 ? scaled(c, std::sqrt(scale)) : std::nullopt;
     },
     Fault::Of::any},
    {"scale-missing", "scores are not scaled", [](const Case& c) { return scaled(c, 1); },
     Fault::Of::any},
    {"scale-ignored", "the default scale, 1/sqrt(head_dim), is used instead of the case's",
     [](const Case& c) { return scaled(c, per_root(static_cast<double>(c.problem.head_dim))); },
     Fault::Of::any},
    {"softcap-before-scale", "the softcap is applied before the scale",
     [](const Case& c) { return softcap_before_scale(c); }},
    {"softcap-not-multiplied", "the softcap's factor is missing: tanh(s / cap)",
     [](const Case& c) { return softcap_not_multiplied(c); }},
    {"softcap-not-divided", "the softcap's division is missing: cap · tanh(s)",
     [](const Case& c) { return softcap_not_divided(c); }},
    {"softmax-base-2", "the softmax is one of powers of 2, not of e",
     [](const Case& c) { return base_2(c); }},
    {"softcap-ignored", "the softcap is not applied",
     [](const Case& c) { return with(c, &Problem::softcap, 0.0); }},
    {"sinks-ignored", "the sinks are left out of the softmax",
     [](const Case& c) { return with(c, &Problem::sinks, false); }},
    {"memory-kv-ignored", "the memory keys and values are left out",
     [](const Case& c) { return with(c, &Problem::memory_kv, int64_t{0}); }},
};

}  // namespace

std::span<const Fault> score() {
  return table;
}

}  // namespace attnfuzz::fault
