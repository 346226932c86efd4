#include "oracle/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

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

/// The numbers at first, first + step, first + 2 step …
struct Scores {
  const double* first;
  int64_t count, step;
  double operator[](int64_t k) const { return first[k * step]; }
};

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

/// A stack of falling scores: from the newest, what is greater than all that came after it. Written
/// without branches that can't be foreseen, as those cost the most here.
class Chain {
 public:
  /// Places that `scratch` must have beside those for all scores.
  static constexpr int64_t room = 6;

  Chain(double* scratch, int64_t longest) : longest_(longest), stack_(scratch + room) {
    std::fill_n(scratch, room, inf);
  }
  int64_t depth() const { return depth_; }
  int64_t longest() const { return longest_; }

  void drop_up_to(double score) {
    int64_t dropped = 0;
    do {
      dropped = 0;
      for (int64_t k = 1; k <= room; ++k) dropped += stack_[depth_ - k] <= score ? 1 : 0;
      depth_ -= dropped;
    } while (dropped == room);
  }
  void add(double score) {
    while (stack_[depth_ - 1] <= score) --depth_;
    stack_[depth_++] = score;
    longest_ = std::max(longest_, depth_);
  }
  /// On top of greater ones; keeps the place only if `falls`.
  void add_if(double score, bool falls) {
    stack_[depth_] = score;
    depth_ += falls ? 1 : 0;
  }

 private:
  int64_t longest_, depth_ = 0;
  double* stack_;
};

/// The most often that a running maximum can rise after some key, when the keys come in tiles of
/// any sizes, in splits or not, in this order: the longest chain of "next greater score", or
/// `longest` if that is longer. Four scores are gone through one by one only where they may
/// lengthen the longest chain: a chain that begins in them has those that it meets there, and at
/// most all that came before.
int64_t longest_rise(const Scores& scores, double* scratch, int64_t longest) {
  Chain chain(scratch, longest);
  const auto more = [](double x, double y) { return x > y ? x : y; };
  int64_t j = 0;
  for (; j + 4 <= scores.count; j += 4) {
    const double a = scores[j], b = scores[j + 1], c = scores[j + 2], d = scores[j + 3];
    const double cd = more(c, d), bcd = more(b, cd), all = more(a, bcd);
    const bool keeps_a = a > bcd, keeps_b = b > cd, keeps_c = c > d;
    const int of_b = a > b ? 1 : 0, of_c = (b > c ? 1 : 0) + (a > more(b, c) ? 1 : 0);
    const int of_d = (keeps_a ? 1 : 0) + (keeps_b ? 1 : 0) + (keeps_c ? 1 : 0);
    if (chain.depth() + 1 + std::max({of_b, of_c, of_d}) > chain.longest()) {
      for (const double score : {a, b, c, d}) chain.add(score);
      continue;
    }
    chain.drop_up_to(all);
    chain.add_if(a, keeps_a);
    chain.add_if(b, keeps_b);
    chain.add_if(c, keeps_c);
    chain.add_if(d, true);
  }
  for (; j < scores.count; ++j) chain.add(scores[j]);
  return chain.longest();
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
  const int64_t forwards = longest_rise({scores, seen, 1}, scratch, 0);
  return longest_rise({scores + seen - 1, seen, -1}, scratch, forwards);
}

/// The largest finite number of `size` that are not negative.
double largest_finite(const double* x, int64_t size) {
  constexpr int64_t lanes = 8;
  double most[lanes] = {};
  int64_t j = 0;
  for (; j + lanes <= size; j += lanes)
    for (int64_t l = 0; l < lanes; ++l)
      most[l] = x[j + l] < inf && x[j + l] > most[l] ? x[j + l] : most[l];
  for (; j < size; ++j) most[0] = x[j] < inf && x[j] > most[0] ? x[j] : most[0];
  return *std::max_element(most, most + lanes);
}

/// What the errors of a row's exponents follow from.
struct Exponents {
  double shared, dot, of_score, of_max, max;

  double operator()(double abs_dot, double score) const {
    const double size = std::abs(score);
    return shared + dot * abs_dot + of_score * size + of_max * (size > max ? size : max);
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

/// Fills w for errors of exponents up to 1; gives the largest of those errors and the sum of w.
template <bool with_more>
std::pair<double, double> weigh(const ScoreRow& row, const Exponents& of, double unit, double* w) {
  constexpr int64_t lanes = 8;
  double widest[lanes] = {}, total[lanes] = {};
  const auto at = [&](int64_t j, int64_t l) {
    double delta = of(row.abs_dot[j], row.score[j]);
    if constexpr (with_more) delta += w[j];
    const bool seen = row.visible[j] != 0;
    delta = seen ? delta : 0;
    widest[l] = delta > widest[l] ? delta : widest[l];
    const double weight = row.p[j] * (delta + delta * delta) + unit;
    w[j] = seen ? weight : 0;
    total[l] += w[j];
  };
  int64_t j = 0;
  for (; j + lanes <= row.size; j += lanes)
    for (int64_t l = 0; l < lanes; ++l) at(j + l, l);
  for (; j < row.size; ++j) at(j, 0);
  double sum = 0;
  for (const double part : total) sum += part;
  return {*std::max_element(widest, widest + lanes), sum};
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
    const double second =
        std::pow(problem.rope_base, -2 / static_cast<double>(problem.turned_dim()));
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
