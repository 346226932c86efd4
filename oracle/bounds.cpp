#include "oracle/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
const double u_double = unit_roundoff(DType::f64);

/// The largest error that comes with an underflow: half the spacing of subnormals (the whole, to be
/// safe from double rounding), or all of the smallest normal number where those are flushed.
double underflow(DType type, bool flush) {
  return flush ? std::ldexp(1.0, info(type).min_exponent) : smallest_subnormal(type);
}

bool rounds_bias(const Mask& mask) {
  return std::any_of(mask.rules.begin(), mask.rules.end(), [](const RuleUse& use) {
    return use.spec->adds_bias && use.spec->name != "bias";
  });
}

/// The most often that a running maximum can rise after some key, when the keys come in tiles of
/// any sizes, in splits or not, forwards or backwards: the longest chain of "next greater score".
/// `stack` has room for all scores.
int64_t longest_rise(const ScoreRow& row, int64_t first, int64_t step, double* stack) {
  int64_t depth = 0, longest = 0;
  for (int64_t k = 0, j = first; k < row.size; ++k, j += step) {
    if (row.visible[j] == 0) continue;
    const double score = row.score[j];
    while (depth > 0 && stack[depth - 1] <= score) --depth;
    stack[depth++] = score;
    longest = std::max(longest, depth);
  }
  return longest;
}

}  // namespace

double growth(double u, double k) {
  return std::expm1(k * std::log1p(u));
}

double exponential_growth(double x) {
  return x <= 1 ? x + x * x : std::expm1(x);
}

ErrorModel::ErrorModel(const Problem& problem, const Precision& precision)
    : u((precision.truncates ? 2 : 1) * unit_roundoff(precision.accumulate) + u_double),
      u_scores(precision.scores ? unit_roundoff(*precision.scores) : 0),
      u_p(precision.p == precision.accumulate ? 0 : unit_roundoff(precision.p)),
      u_out(unit_roundoff(problem.dtype)),
      u_factor(precision.factor_bits > 0 ? std::ldexp(1.0, -precision.factor_bits) : 0),
      exp(2 * precision.exp_ulps * unit_roundoff(precision.accumulate) + 8 * u_double),
      dot(0),
      rope(0),
      per_position(0),
      softcap(problem.softcap > 0 ? problem.softcap * (exp + 8 * u) : 0),
      bias(problem.mask.adds_bias() ? 8 * u : 0),
      largest_bias(inf),
      scale(std::max(1.0, std::abs(problem.scale_value()))),
      scale_of_scores(std::abs(problem.scale_value())),
      tiny(underflow(precision.accumulate, precision.flush_subnormals)),
      tiny_inputs(2 * std::max(tiny, precision.scores ? underflow(*precision.scores, false) : 0)),
      tiny_p(underflow(precision.p, precision.flush_subnormals)),
      tiny_out(underflow(problem.dtype, precision.flush_subnormals)),
      max_score(info(precision.accumulate).max_finite),
      max_accumulated(info(precision.accumulate).max_finite),
      max_out(info(problem.dtype).max_finite),
      max_p(info(precision.p).max_finite),
      dropout(100 / static_cast<double>(problem.dropout_keep)),
      u_lse(unit_roundoff(problem.dtype == DType::f64 ? DType::f64 : DType::f32)),
      sure_p(4 * std::max(underflow(precision.accumulate, true), underflow(precision.p, true))),
      head_dim(problem.head_dim) {
  double roundings = growth(u, static_cast<double>(head_dim) + 12);
  roundings += growth(u_factor, 2) * (1 + roundings);
  dot = std::abs(problem.scale_value()) * (roundings + growth(u_scores, 3) * (1 + roundings));
  if (problem.rope != Rope::none) {
    const double second = std::pow(problem.rope_base, -2 / static_cast<double>(head_dim));
    const DType type = precision.rope.value_or(precision.accumulate);
    rope = 8 * u + 5 * unit_roundoff(type);
    per_position = u * (1.2 + 8 * second);
    tiny_inputs = 4 * std::max(tiny_inputs, underflow(type, precision.flush_subnormals));
  }
  if (precision.scores) max_score = std::min(max_score, info(*precision.scores).max_finite);
  if (!rounds_bias(problem.mask)) return;
  bias += unit_roundoff(problem.dtype);
  largest_bias = max_out;
}

double ErrorModel::dot_at(double position) const {
  const double turned = rope + per_position * position;
  return dot + (scale_of_scores + dot) * turned * (2 + turned);
}

RowError row_error(const ErrorModel& model, const ScoreRow& row, double* w) {
  const double u = model.u;
  int64_t seen = 0;
  double largest = 0;
  for (int64_t j = 0; j < row.size; ++j) {
    seen += row.visible[j];
    if (row.abs_dot[j] < inf) largest = std::max(largest, row.abs_dot[j]);
  }
  const auto n = static_cast<double>(seen);
  const double log_keys = std::log(n + 1);
  double rescales = n;
  if (seen > 16) {  // with fewer keys the chain is hardly ever shorter
    const int64_t chain =
        std::max(longest_rise(row, 0, 1, w), longest_rise(row, row.size - 1, -1, w));
    rescales = std::min(n, 2 * static_cast<double>(chain) + 1.5 * log_keys + 2);
  }

  RowError error;
  error.relative = u * (n + 2 * rescales + (model.dropout > 1 ? 11 : 8)) +
                   model.exp * (rescales + 2) + model.u_p + 2 * model.u_factor;
  error.hull =
      (1 + exponential_growth(2.5 * error.relative) + n * model.tiny_p) * model.dropout - 1;
  error.tiny = (2 * n + 2 * rescales + 4) * model.tiny;
  error.keys = n;
  const double dot = model.dot_at(row.position), factor = std::max(row.q_norm, row.k_norm);
  error.unchecked = 2 * largest * model.scale * (1 + dot) > model.max_score ||
                    (model.scale_of_scores > 1 && model.scale_of_scores * factor > model.max_score);

  const double shared = error.relative + 16 * u * log_keys + model.softcap +
                        model.scale * (static_cast<double>(model.head_dim + 2) * model.tiny +
                                       model.tiny_inputs * (row.q_norm + row.k_norm));
  const double unit = row.sum * model.tiny_p + 4 * model.tiny + 0x1p-1021;
  const double of_score = 3 * (u + model.u_scores);
  const double max = std::abs(row.max);
  double total = 0, widest = 0;
  for (int64_t j = 0; j < row.size; ++j) {
    const double score = std::abs(row.score[j]);
    double delta =
        shared + dot * row.abs_dot[j] + of_score * score + 16 * u * (score > max ? score : max);
    if (row.off_dot != nullptr) delta += (model.scale_of_scores + dot) * row.off_dot[j];
    if (row.bias != nullptr) delta += model.of_bias(row.bias[j]);
    delta = row.visible[j] != 0 ? delta : 0;
    widest = delta > widest ? delta : widest;
    w[j] = delta;
  }
  if (widest <= 1) {
    for (int64_t j = 0; j < row.size; ++j) w[j] = row.p[j] * (w[j] + w[j] * w[j]);
  } else {
    for (int64_t j = 0; j < row.size; ++j) {
      if (row.visible[j] != 0) w[j] = std::exp(row.score[j] - row.max + w[j]);
    }
  }
  for (int64_t j = 0; j < row.size; ++j) {
    w[j] = row.visible[j] != 0 ? w[j] + unit : 0;
    total += w[j];
  }
  if (row.sink > -inf) {
    const double delta = shared + 16 * u * std::max(std::abs(row.sink), max);
    const double weight = std::exp(row.sink - row.max) * exponential_growth(delta) + unit;
    error.sink = weight / row.sum;
    total += weight;
  }
  error.weights = total / row.sum;
  return error;
}

double lse_bound(const ErrorModel& model, const RowError& row, double max, double log_sum) {
  if (row.unchecked || row.weights >= 1) return inf;
  const double sizes = std::abs(max) + std::abs(log_sum);
  const double error = (8 * model.u + model.exp) * sizes - std::log1p(-row.weights);
  return (1 + 1e-6) * (error + model.u_lse * (sizes + error) + model.tiny);
}

void element_bounds(const ErrorModel& model, const RowError& row, int64_t size, const double* out,
                    const double* weighted, const double* largest, double* bound) {
  const bool quotient = row.weights < 0.5;
  const double per_rest = quotient ? 1 / (1 - row.weights) : inf;
  const double hull = 1 + row.hull;
  const double keys = row.unchecked ? inf : row.keys * hull;
  for (int64_t d = 0; d < size; ++d) {
    const double value = std::abs(out[d]);
    const double as_quotient = (weighted[d] + value * row.weights) * per_rest;
    const double as_mean = value + largest[d] * hull;
    double error = (as_quotient < as_mean ? as_quotient : as_mean) + row.tiny;
    error += model.u_out * (value + error) + model.tiny_out;
    error *= 1 + 1e-6;
    const bool holds = (value + error <= model.max_out) &
                       (keys * (largest[d] > 1 ? largest[d] : 1) <= model.max_accumulated);
    bound[d] = holds ? error : inf;
  }
}

}  // namespace attnfuzz
