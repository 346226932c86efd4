#include "oracle/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attnfuzz {
namespace {

/// Pair n of the unscaled rope with this base.
double frequency(const Problem& problem, double base, int64_t n) {
  return std::pow(base, -2 * static_cast<double>(n) / static_cast<double>(problem.turned_dim()));
}

/// How much of yarn's ramp lies before pair n, from 0 to 1.
double share_before(const Problem& problem, int64_t n) {
  const auto [begin, end] = rope_ramp(problem);
  return std::clamp((static_cast<double>(n) - begin) / (end - begin), 0.0, 1.0);
}

/// Of llama3: 0 where the pair is slowed, 1 where it is not.
double share_kept(const RopeScaling& scaling, double frequency) {
  const double rotations =
      static_cast<double>(scaling.original_len) * frequency / (2 * std::numbers::pi);
  return std::clamp((rotations - scaling.low) / (scaling.high - scaling.low), 0.0, 1.0);
}

}  // namespace

RopeRamp whole_rope_ramp(const Problem& problem) {
  const RopeScaling& scaling = problem.rope_scaling;
  const auto pair_of = [&](double rotations) {
    return static_cast<double>(problem.turned_dim()) *
           std::log(static_cast<double>(scaling.original_len) /
                    (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(problem.rope_base));
  };
  return {pair_of(scaling.high), pair_of(scaling.low)};
}

RopeRamp rope_ramp(const Problem& problem) {
  auto [begin, end] = whole_rope_ramp(problem);
  if (problem.rope_scaling.truncate) {
    begin = std::floor(begin);
    end = std::ceil(end);
  }
  return {std::max(begin, 0.0), std::min(end, static_cast<double>(problem.turned_dim() - 1))};
}

double scaled_rope_base(const Problem& problem) {
  const RopeScaling& scaling = problem.rope_scaling;
  const auto dim = static_cast<double>(problem.turned_dim());
  const bool dynamic = scaling.law == RopeLaw::dynamic_ntk;
  if ((scaling.law != RopeLaw::ntk && !dynamic) || dim <= 2) return problem.rope_base;
  double factor = scaling.factor;
  if (dynamic) {
    if (problem.kv_len <= scaling.original_len) return problem.rope_base;
    factor =
        factor * static_cast<double>(problem.kv_len) / static_cast<double>(scaling.original_len) -
        (factor - 1);
  }
  return problem.rope_base * std::pow(factor, dim / (dim - 2));
}

double rope_frequency(const Problem& problem, int64_t n) {
  const RopeScaling& scaling = problem.rope_scaling;
  const double whole = frequency(problem, scaled_rope_base(problem), n);
  const double slowed = whole / scaling.factor;
  switch (scaling.law) {
    case RopeLaw::linear:
      return slowed;
    case RopeLaw::yarn: {
      const double share = share_before(problem, n);
      return slowed * share + whole * (1 - share);
    }
    case RopeLaw::llama3: {
      const double kept = share_kept(scaling, whole);
      return slowed * (1 - kept) + whole * kept;
    }
    default:
      return whole;
  }
}

}  // namespace attnfuzz
