#include "oracle/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "oracle/lane.h"
#include "oracle/rope.h"

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

/// The keys that a row sees, if they are neighbours: all of ScoreRow's arrays from `first` on.
struct SeenRange {
  int64_t first = 0, count = 0;
  bool holds_all = false;  ///< no hidden key lies between
};
SeenRange seen_range(const ScoreRow& row, int64_t seen) {
  const uint8_t *begin = row.visible, *end = begin + row.size;
  const auto first = std::find(begin, end, uint8_t{1}) - begin;
  const uint8_t* last = end;
  while (last != begin + first && last[-1] == 0) --last;
  const auto count = last - begin - first;
  return {first, count, count == seen};
}

/// A stack of falling scores: from the newest, what is greater than all that came after it.
struct Chain {
  /// Places that `scratch` must have beside those for all scores: infinities, which nothing drops.
  static constexpr int64_t room = 8;

  int64_t longest, depth = 0;
  double* stack;

  Chain(double* scratch, int64_t at_least) : longest(at_least), stack(scratch + room) {
    std::fill_n(scratch, room, inf);
  }
  void add(double score) {
    while (stack[depth - 1] <= score) --depth;
    stack[depth++] = score;
    longest = std::max(longest, depth);
  }
  /// Adds x[0], x[step] … all at once, without branches that can't be foreseen, as those cost the
  /// most here: what is greater than all that follow stays. `longest` is left as it is.
  template <int64_t size, int64_t step>
  void add_all(const double* x) {
    double most[size];  // of x[l step] and what follows
    most[size - 1] = x[(size - 1) * step];
    for (int64_t l = size - 1; l > 0; --l)
      most[l - 1] = x[(l - 1) * step] > most[l] ? x[(l - 1) * step] : most[l];
    int64_t top = depth, dropped = 0;
    do {
      dropped = 0;
      for (int64_t k = 1; k <= room; ++k) dropped += stack[top - k] <= most[0] ? 1 : 0;
      top -= dropped;
    } while (dropped == room);
    for (int64_t l = 0; l + 1 < size; ++l) {
      stack[top] = x[l * step];
      top += x[l * step] > most[l + 1] ? 1 : 0;
    }
    stack[top] = most[size - 1];
    depth = top + 1;
  }
};

/// The most often that a running maximum can rise after some key, when the keys come in tiles of
/// any sizes, in splits or not, in this order (step 1 or −1): the longest chain of "next greater
/// score", or `longest` if that is longer. Six scores are gone through one by one only where they
/// may lengthen the longest chain: a chain that begins in them has at most one of them more than
/// they have descents, and all that came before.
template <int64_t step>
int64_t longest_rise(const double* scores, int64_t count, double* scratch, int64_t longest) {
  constexpr int64_t size = 6;
  Chain chain(scratch, longest);
  int64_t j = 0;
  for (; j + size <= count; j += size) {
    const double* x = scores + j * step;
    int64_t most = chain.depth + 1;
    for (int64_t l = 1; l < size; ++l) most += x[(l - 1) * step] > x[l * step] ? 1 : 0;
    if (most <= chain.longest) {
      chain.add_all<size, step>(x);
    } else {
      for (int64_t l = 0; l < size; ++l) chain.add(x[l * step]);
    }
  }
  for (; j < count; ++j) chain.add(scores[j * step]);
  return chain.longest;
}

/// Of the keys that a row sees, forwards or backwards. `scratch` has room for all scores
/// twice, and a Chain's more.
int64_t longest_rise(const ScoreRow& row, int64_t seen, double* scratch) {
  const SeenRange range = seen_range(row, seen);
  const double* scores = row.score + range.first;
  if (!range.holds_all) {
    double* to = scratch;
    for (int64_t j = range.first; j < range.first + range.count; ++j)
      if (row.visible[j] != 0) *to++ = row.score[j];
    scores = scratch;
    scratch += row.size;
  }
  const int64_t forwards = longest_rise<1>(scores, seen, scratch, 0);
  return longest_rise<-1>(scores + seen - 1, seen, scratch, forwards);
}

/// The largest finite number of `size` that are not negative.
double largest_finite(const double* x, int64_t size) {
  Lane most = {};
  int64_t j = 0;
  for (; j + lane_size <= size; j += lane_size) {
    const Lane some = load(x + j);
    most = some < inf ? larger(some, most) : most;
  }
  double largest = largest_of(most);
  for (; j < size; ++j) largest = x[j] < inf && x[j] > largest ? x[j] : largest;
  return largest;
}

/// What the errors of a row's exponents follow from.
struct Exponents {
  double shared, dot, of_score, of_max, max;

  /// Of one key, or of the keys of a Lane.
  template <class T>
  [[gnu::always_inline]] T operator()(const T& abs_dot, const T& score) const {
    const T size = score < 0 ? -score : score;
    return shared + dot * abs_dot + of_score * size + of_max * (size > max ? size : max + T{});
  }
};

/// Where biases and keys that are off add to the errors of exponents: how much, in w.
bool add_causes(const ErrorModel& model, const ScoreRow& row, double dot, double* w) {
  if (row.off_dot == nullptr && row.bias == nullptr) return false;
  const double off = model.scale_of_scores + dot;
  for (int64_t j = 0; j < row.size; ++j) {
    w[j] = row.off_dot != nullptr ? off * row.off_dot[j] : 0;
    if (row.bias != nullptr) w[j] += model.of_bias(row.bias[j]);
  }
  return true;
}

/// The largest error of exponents up to now, and the sum of the weights of these errors.
struct Weights {
  Lane widest = {}, total = {};

  /// Those of the keys at the arrays' beginnings; `more` holds what adds to the errors, or nothing.
  [[gnu::always_inline]] Lane add(const Exponents& of, double unit, const uint8_t* visible,
                                  const double* abs_dot, const double* score, const double* p,
                                  const double* more) {
    const LaneMask seen = load_mask(visible);
    Lane delta = of(load(abs_dot), load(score));
    if (more != nullptr) delta += load(more);
    delta = seen ? delta : Lane{};
    widest = larger(delta, widest);
    Lane weight = load(p) * (delta + delta * delta) + unit;
    weight = seen ? weight : Lane{};
    total += weight;
    return weight;
  }
};

/// Fills w for errors of exponents up to 1; gives the largest of those errors and the sum of w.
template <bool with_more>
std::pair<double, double> weigh(const ScoreRow& row, const Exponents& of, double unit, double* w) {
  Weights weights;
  int64_t j = 0;
  for (; j + lane_size <= row.size; j += lane_size)
    store(weights.add(of, unit, row.visible + j, row.abs_dot + j, row.score + j, row.p + j,
                      with_more ? w + j : nullptr),
          w + j);
  if (const int64_t left = row.size - j; left > 0) {
    const Lane some =
        weights.add(of, unit, last(row.visible + j, left).data(),
                    last(row.abs_dot + j, left).data(), last(row.score + j, left).data(),
                    last(row.p + j, left).data(), with_more ? last(w + j, left).data() : nullptr);
    for (int64_t l = 0; l < left; ++l) w[j + l] = some[l];
  }
  return {largest_of(weights.widest), sum_of(weights.total)};
}

/// The same whatever the errors are; gives the sum. `more`: w holds what add_causes() has filled.
double weigh_wide(const ScoreRow& row, const Exponents& of, double unit, bool more, double* w) {
  double total = 0;
  for (int64_t j = 0; j < row.size; ++j) {
    const double delta = of(row.abs_dot[j], row.score[j]) + (more ? w[j] : 0);
    w[j] = row.visible[j] != 0 ? std::exp(row.score[j] - row.max + delta) + unit : 0;
    total += w[j];
  }
  return total;
}

/// By how many roundings an angle may be off, for each position: see bounds.md, (turn).
double rope_roundings(const Problem& problem) {
  const RopeScaling& scaling = problem.rope_scaling;
  Problem unscaled = problem;
  unscaled.rope_scaling = {};
  const double second = rope_frequency(unscaled, 1);
  const double plain = 1.2 + 8 * second;
  if (scaling.law == RopeLaw::none) return plain;
  if (scaling.has_ramp()) {
    if (scaling.law == RopeLaw::llama3)
      return (1 + scaling.high / (scaling.high - scaling.low)) * (plain + 12);
    const auto [begin, end] = rope_ramp(problem);
    const double far =
        std::max(std::abs(whole_rope_ramp(problem).begin), std::abs(whole_rope_ramp(problem).end));
    const double slope = scaling.truncate ? 1 : 1 + 8 * far / (end - begin);
    return (1 + slope) * (plain + 12);
  }
  if (scaling.law == RopeLaw::linear) return plain + 4;
  const auto dim = static_cast<double>(problem.turned_dim());
  const double power = dim > 2 ? dim / (dim - 2) : 0;
  const double raised = std::log(scaled_rope_base(problem) / problem.rope_base);
  const double longer = scaling.original_len > 0 ? static_cast<double>(problem.kv_len) /
                                                       static_cast<double>(scaling.original_len)
                                                 : 0;
  return plain + 2 * second * (8 + 3 * raised + 4 * power * scaling.factor * longer);
}

}  // namespace

double growth(double u, double k) {
  return std::expm1(k * std::log1p(u));
}

double exponential_growth(double x) {
  return x <= 1 ? x + x * x : std::expm1(x);
}

ErrorModel::ErrorModel(const Problem& problem, const Precision& precision)
    : u((precision.truncates ? 2.5 : 1) * unit_roundoff(precision.accumulate) + u_double),
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
    const DType type = precision.rope.value_or(precision.accumulate);
    rope = 8 * u + 5 * unit_roundoff(type);
    per_position = u * rope_roundings(problem);
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
  for (int64_t j = 0; j < row.size; ++j) seen += row.visible[j];
  const double largest = largest_finite(row.abs_dot, row.size);
  const auto n = static_cast<double>(seen);
  const double log_keys = std::log(n + 1);
  double rescales = n;
  if (seen > 16) {  // with fewer keys the chain is hardly ever shorter
    thread_local std::vector<double> scratch;
    scratch.resize(std::max(scratch.size(), static_cast<size_t>(2 * row.size + Chain::room)));
    const auto chain = static_cast<double>(longest_rise(row, seen, scratch.data()));
    rescales = std::min(n, 2 * chain + 1.5 * log_keys + 2);
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
  const double max = std::abs(row.max);
  const Exponents exponents{shared, dot, 3 * (u + model.u_scores), 16 * u, max};
  const bool more = add_causes(model, row, dot, w);
  auto [widest, total] =
      more ? weigh<true>(row, exponents, unit, w) : weigh<false>(row, exponents, unit, w);
  if (!(widest <= 1)) {
    add_causes(model, row, dot, w);
    total = weigh_wide(row, exponents, unit, more, w);
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
