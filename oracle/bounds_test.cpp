// The bound against emulated targets: never exceeded, and not far above what they do.
#include "oracle/bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "oracle/each_nth.h"
#include "oracle/test_cases.h"

namespace attnfuzz {
namespace {

using namespace attnfuzz::testing;

constexpr double inf = std::numeric_limits<double>::infinity();

/// Arithmetic in a narrow type: every result is rounded to it.
struct Arithmetic {
  Precision precision;
  DType dtype;
  bool fused;

  double flush(DType type, double x) const {
    const bool subnormal = std::abs(x) < std::ldexp(1.0, info(type).min_exponent);
    return precision.flush_subnormals && subnormal ? 0 : x;
  }
  double round(double x) const {
    double y = round_to(precision.accumulate, x);
    if (precision.truncates && std::abs(y) > std::abs(x))  // of float
      y = static_cast<double>(std::nextafter(static_cast<float>(y), 0.0F));
    return flush(precision.accumulate, y);
  }
  double as_score(double s) const { return precision.scores ? round_to(*precision.scores, s) : s; }
  double as_out(double x) const { return flush(dtype, round_to(dtype, x)); }
  /// A factor on its way into a product.
  double factor(double x) const {
    if (precision.factor_bits == 0) return x;
    int exponent = 0;
    const double fraction = std::frexp(x, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(fraction, precision.factor_bits)),
                      exponent - precision.factor_bits);
  }
  /// A step of q·k or p·v.
  double product_add(double a, double b, double c) const {
    return multiply_add(factor(a), factor(b), c);
  }
  double multiply_add(double a, double b, double c) const {
    return fused ? round(a * b + c) : round(round(a * b) + c);
  }
  double exp(double x) const { return round(std::exp(x)); }
  double as_p(double p) const { return round_to(precision.p, p); }
};

/// How an emulated kernel goes over the keys.
struct Order {
  int64_t tile;    ///< keys for each running maximum; 0: two passes over the whole row
  int64_t splits;  ///< parts merged at the end by their log-sum-exp
  bool backwards;
  bool scale_q;      ///< q is scaled before the product
  bool base_two;     ///< exp2 of scores times log2(e)
  bool normalise_p;  ///< p is divided by its sum before it is rounded
};

/// One row's running sums: max, Σ p and Σ p v.
struct Running {
  double max = -inf, sum = 0;
  std::vector<double> out;
};

class Kernel {
 public:
  Kernel(const Problem& p, const Arithmetic& a, const Order& o) : p_(p), a_(a), o_(o) {}

  std::vector<double> row(const double* q, const std::vector<double>& k,
                          const std::vector<double>& v, const std::vector<uint8_t>& seen,
                          const std::vector<double>& bias, double sink) const {
    std::vector<int64_t> keys;
    for (size_t j = 0; j < seen.size(); ++j) {
      if (seen[j] != 0) keys.push_back(static_cast<int64_t>(j));
    }
    if (o_.backwards) std::reverse(keys.begin(), keys.end());
    std::vector<double> scores;
    scores.reserve(keys.size());
    for (const int64_t j : keys) {
      scores.push_back(score(q, &k[static_cast<size_t>(j * p_.head_dim)],
                             bias.empty() ? 0 : bias[static_cast<size_t>(j)]));
    }
    const auto total = static_cast<int64_t>(keys.size());
    const int64_t splits = std::max<int64_t>(1, std::min(o_.splits, total));
    std::vector<Running> parts;
    for (int64_t s = 0; s < splits; ++s) {
      parts.push_back(part(keys, scores, v, total * s / splits, total * (s + 1) / splits,
                           s == 0 ? sink : -inf));
    }
    return finish(merge(std::move(parts)));
  }

 private:
  double score(const double* q, const double* k, double bias) const {
    const double log2_e = o_.base_two ? a_.round(std::log2(std::exp(1.0))) : 1;
    const bool at_once = bias == 0 && p_.softcap == 0;
    const double unit = a_.round(a_.round(p_.scale_value()) * (at_once ? log2_e : 1));
    double s = 0;
    for (int64_t d = 0; d < p_.head_dim; ++d) {
      s = a_.product_add(o_.scale_q ? a_.round(q[d] * unit) : q[d], k[d], s);
    }
    if (!o_.scale_q) s = a_.as_score(a_.round(s * unit));
    if (p_.softcap > 0) {
      const double cap = a_.round(p_.softcap);
      s = a_.round(cap * a_.round(std::tanh(a_.round(s / cap))));
    }
    s = a_.round(s + a_.round(bias));
    return a_.as_score(at_once ? s : a_.round(s * log2_e));
  }

  double weight(double s, double max) const {
    const double x = a_.round(s - max);
    return o_.base_two ? a_.round(std::exp2(x)) : a_.exp(x);
  }

  void rescale(Running& r, double max) const {
    const double factor = weight(r.max, max);
    r.sum = a_.round(r.sum * factor);
    for (double& x : r.out) x = a_.round(x * factor);
    r.max = max;
  }

  Running part(const std::vector<int64_t>& keys, const std::vector<double>& scores,
               const std::vector<double>& v, int64_t first, int64_t last, double sink) const {
    Running r;
    if (sink > -inf) {
      r.max = o_.base_two ? a_.round(sink * a_.round(std::log2(std::exp(1.0)))) : sink;
      r.sum = 1;
    }
    r.out.assign(static_cast<size_t>(p_.head_dim_v), 0);
    const int64_t tile = o_.tile == 0 ? last - first : o_.tile;
    for (int64_t begin = first; begin < last; begin += tile) {
      const int64_t end = std::min(last, begin + tile);
      const double max =
          std::max(r.max, *std::max_element(scores.begin() + begin, scores.begin() + end));
      if (r.sum > 0 && max > r.max) rescale(r, max);
      r.max = max;
      double whole = r.sum;
      if (o_.normalise_p) {
        for (int64_t n = first; n < last; ++n) {
          whole = a_.round(whole + weight(scores[static_cast<size_t>(n)], max));
        }
      }
      for (int64_t n = begin; n < end; ++n) {
        double p = weight(scores[static_cast<size_t>(n)], max);
        r.sum = a_.round(r.sum + p);
        if (o_.normalise_p) p = a_.round(p / whole);
        const double* row = &v[static_cast<size_t>(keys[static_cast<size_t>(n)] * p_.head_dim_v)];
        for (size_t d = 0; d < r.out.size(); ++d) {
          r.out[d] = a_.product_add(a_.as_p(p), row[d], r.out[d]);
        }
      }
      if (o_.normalise_p) r.sum = 1;
    }
    return r;
  }

  /// Weighs normalised parts by exp(lse − max lse).
  Running merge(std::vector<Running> parts) const {
    if (parts.size() == 1) return parts[0];
    std::vector<double> lse;
    for (Running& part : parts) {
      for (double& x : part.out) x = a_.round(x / part.sum);
      lse.push_back(
          a_.round(part.max + a_.round(o_.base_two ? std::log2(part.sum) : std::log(part.sum))));
    }
    Running all;
    all.out.assign(parts[0].out.size(), 0);
    all.max = *std::max_element(lse.begin(), lse.end());
    for (size_t n = 0; n < parts.size(); ++n) {
      const double share = weight(lse[n], all.max);
      all.sum = a_.round(all.sum + share);
      for (size_t d = 0; d < all.out.size(); ++d) {
        all.out[d] = a_.multiply_add(share, parts[n].out[d], all.out[d]);
      }
    }
    return all;
  }

  std::vector<double> finish(Running r) const {
    for (double& x : r.out) x = a_.as_out(a_.round(x / r.sum));
    return std::move(r.out);
  }

  const Problem& p_;
  const Arithmetic& a_;
  const Order& o_;
};

/// What the emulated kernels gave, against the bound.
struct Ratios {
  double worst = 0;
  int64_t outside = 0, checked = 0;
  std::string first;  ///< the first element outside, in words
};

Case arbitrary_head() {
  Case c;
  Problem& p = c.problem;
  p.q_len = arbitrary(1, 6);
  p.kv_len = arbitrary(1, flip() ? 16 : 150);
  p.head_dim = arbitrary(1, flip() ? 16 : 80);
  p.head_dim_v = arbitrary(1, 6);
  p.mask.align = flip() ? Align::top_left : Align::bottom_right;
  if (flip()) p.mask.rules.push_back(use("causal"));
  if (arbitrary(0, 2) == 0) p.mask.rules.push_back(use("alibi"));
  if (arbitrary(0, 2) == 0) p.mask.rules.push_back(use("bias", {int64_t{0}}));
  if (arbitrary(0, 3) == 0) p.softcap = static_cast<double>(arbitrary(1, 80)) / 8;
  p.sinks = arbitrary(0, 3) == 0;
  if (arbitrary(0, 3) == 0) p.scale = static_cast<double>(arbitrary(1, 32)) / 8;
  const auto end_of = [](const NumberRange& range) { return flip() ? range.min : range.max; };
  if (arbitrary(0, 9) == 0) p.softcap = end_of(softcap_range);
  if (arbitrary(0, 9) == 0) p.scale = end_of(scale_range);
  c.data.seed = static_cast<uint64_t>(arbitrary(0, 1 << 30));
  c.data.dist = static_cast<Distribution>(arbitrary(0, 4));
  return c;
}

void compare(const Case& c, const Precision& precision, const Order& order, bool fused,
             Ratios& ratios) {
  const Problem& p = c.problem;
  const Inputs inputs = make_inputs(c);
  const StepAnswer want = answer(c, inputs, precision).steps[0];
  const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles(),
                            v = inputs.at("v").to_doubles();
  const double sink = p.sinks ? inputs.at("sinks").to_doubles()[0] : -inf;
  const DenseMask mask = dense_mask(p, c.data);
  const Arithmetic arithmetic{precision, p.dtype, fused};
  const Kernel kernel(p, arithmetic, order);
  for (int64_t i = 0; i < p.q_len; ++i) {
    const auto first = mask.visible.begin() + i * p.kv_len;
    const std::vector<uint8_t> seen(first, first + p.kv_len);
    if (std::find(seen.begin(), seen.end(), 1) == seen.end()) continue;
    std::vector<double> bias;
    if (!mask.bias.empty()) {
      bias.assign(mask.bias.begin() + i * p.kv_len, mask.bias.begin() + (i + 1) * p.kv_len);
    }
    const std::vector<double> got =
        kernel.row(&q[static_cast<size_t>(i * p.head_dim)], k, v, seen, bias, sink);
    for (size_t d = 0; d < got.size(); ++d) {
      const size_t at = static_cast<size_t>(i * p.head_dim_v) + d;
      if (std::isinf(want.bound[at])) continue;
      const double error = std::abs(got[d] - want.out[at]);
      ratios.checked += 1;
      if (want.bound[at] > 0) ratios.worst = std::max(ratios.worst, error / want.bound[at]);
      if (error <= want.bound[at]) continue;
      ratios.outside += 1;
      if (ratios.first.empty()) {
        ratios.first = one_line(c) + ": got " + std::to_string(got[d]) + ", want " +
                       std::to_string(want.out[at]) + " ± " + std::to_string(want.bound[at]);
      }
    }
  }
}

Ratios campaign(DType dtype, const Precision& precision, int cases) {
  Ratios ratios;
  const bool ran = rc::check([&] {
    for (int n = 0; n < cases / 100; ++n) {
      Case c = arbitrary_head();
      c.problem.dtype = dtype;
      const int64_t tiles[] = {0, 1, 7, 16};
      const Order order{.tile = tiles[arbitrary(0, 3)],
                        .splits = flip() ? 1 : arbitrary(2, 5),
                        .backwards = flip(),
                        .scale_q = flip(),
                        .base_two = flip(),
                        .normalise_p = false};
      compare(c, precision, order, flip(), ratios);
      compare(c, precision,
              {.tile = 0,
               .splits = 1,
               .backwards = false,
               .scale_q = false,
               .base_two = false,
               .normalise_p = true},
              flip(), ratios);
    }
  });
  EXPECT_TRUE(ran);
  return ratios;
}

struct Emulated {
  DType dtype;
  Precision precision;
};

class Bound : public ::testing::TestWithParam<Emulated> {};

TEST_P(Bound, IsNotExceededAndNotFarAbove) {
  const Ratios ratios = campaign(GetParam().dtype, GetParam().precision, 2000 / each_nth);
  EXPECT_EQ(ratios.outside, 0) << ratios.first;
  EXPECT_GT(ratios.checked, 10000 / each_nth);
  EXPECT_GT(ratios.worst, 1e-2);
  RecordProperty("worst", std::to_string(ratios.worst));
}

std::string words(const ::testing::TestParamInfo<Emulated>& test) {
  const Precision& precision = test.param.precision;
  std::string words(name(test.param.dtype));
  words += "_by_" + std::string(name(precision.accumulate));
  words += "_p_" + std::string(name(precision.p));
  if (precision.scores) words += "_scores_" + std::string(name(*precision.scores));
  if (precision.factor_bits > 0) words += "_factors_" + std::to_string(precision.factor_bits);
  return words + (precision.flush_subnormals ? "_flush" : "") +
         (precision.truncates ? "_truncates" : "");
}

using enum DType;
const Emulated emulated[] = {
    {f64, {f64, f64, 1, {}, false}},
    {f32, {f32, f32, 1, {}, false}},
    {f32, {f32, f32, 1, {}, true}},
    {f32, {f32, f32, 1, bf16, false}},
    {f16, {f32, f16, 1, {}, false}},
    {f16, {f32, f16, 1, f16, false}},
    {bf16, {f32, bf16, 1, {}, false}},
    {bf16, {f32, f32, 1, {}, false}},
    {f16, {f16, f16, 1, {}, false}},
    {bf16, {bf16, bf16, 1, {}, false}},
    {f32, {f32, f32, 1, {}, false, 11}},           // TF32
    {f16, {f32, f16, 1, {}, false, 0, {}, true}},  // tensor cores
    {f32, {f32, f32, 1, {}, false, 0, {}, true}},
    {e4m3, {f32, e4m3, 1, {}, false}},
    {e5m2, {f32, e5m2, 1, {}, false}},
};
INSTANTIATE_TEST_SUITE_P(Precisions, Bound, ::testing::ValuesIn(emulated), words);

/// How many of a hundred elements lie outside the bound when the last of `len` keys is dropped.
double percent_that_show_a_dropped_key(int64_t len, Precision precision, DType dtype) {
  Case c;
  c.problem.dtype = dtype;
  c.problem.q_len = 16;
  c.problem.kv_len = len;
  c.problem.head_dim = c.problem.head_dim_v = 64;
  const Inputs inputs = make_inputs(c);
  const StepAnswer want = answer(c, inputs, precision).steps[0];
  c.problem.mask.rules = {use("padding", {int64_t{1}, list({len - 1})})};
  const StepAnswer got = answer(c, inputs, precision).steps[0];
  int64_t shown = 0;
  for (size_t n = 0; n < got.out.size(); ++n) {
    shown += std::abs(got.out[n] - want.out[n]) > want.bound[n] ? 1 : 0;
  }
  return 100 * static_cast<double>(shown) / static_cast<double>(got.out.size());
}

/// A dense ALiBi in 8 bits ends at −448. Exactly, the sink outweighs all keys; with that, the last
/// key outweighs the sink.
TEST(BoundOfFarKeys, AllowsTheLowestNumberForTheirBias) {
  Case c;
  Problem& p = c.problem;
  p.dtype = DType::e4m3;
  p.kv_len = 2000;
  p.num_heads = 64;  // head 0: a slope of 0.9
  p.scale = 1;
  p.sinks = true;
  p.mask.rules = {use("alibi")};
  Inputs inputs = make_inputs(c);
  EXPECT_EQ(inputs.at("bias").to_doubles()[1999], -448);
  std::vector<double> k(2000, -26);
  k.back() = 30;
  inputs.replace("q", Tensor::from_doubles(p.dtype, {1, 64, 1, 1}, std::vector<double>(64, 16)));
  inputs.replace("k", Tensor::from_doubles(p.dtype, {1, 1, 2000, 1}, k));
  inputs.replace("v", Tensor::from_doubles(p.dtype, {1, 1, 2000, 1}, std::vector<double>(2000, 4)));
  inputs.replace("sinks", Tensor::from_doubles(p.dtype, {64}, std::vector<double>(64, 8)));
  const StepAnswer exact = answer(c, inputs, Precision{}).steps[0];
  EXPECT_LT(exact.out[0], 1e-9);
  EXPECT_GE(exact.bound[0], 4);
}

/// The scale may be on q, whose product with k may be nothing.
/// A matrix unit's sum: blocks of K products and the sum so far, each cut off at the last bit of
/// the largest of them, added exactly, and cut off.
double block_sum(const std::vector<double>& products, size_t block) {
  constexpr int bits = 24;
  const auto cut = [](double x, int exponent) {
    return std::ldexp(std::trunc(std::ldexp(x, bits - exponent)), exponent - bits);
  };
  double sum = 0;
  for (size_t from = 0; from < products.size(); from += block) {
    std::vector<double> terms{sum};
    for (size_t k = from; k < std::min(from + block, products.size()); ++k)
      terms.push_back(products[k]);
    double largest = 0, exact = 0;
    for (const double x : terms) largest = std::max(largest, std::abs(x));
    for (const double x : terms) exact += cut(x, largest == 0 ? 0 : std::ilogb(largest) + 1);
    sum = exact == 0 ? 0 : cut(exact, std::ilogb(exact) + 1);
  }
  return sum;
}

TEST(BoundOfTruncation, HoldsForBlocksOfAMatrixUnit) {
  Precision truncating;
  truncating.accumulate = truncating.p = DType::f32;
  truncating.truncates = true;
  const ErrorModel model(Problem{}, truncating), rounding(Problem{}, Precision{});
  double worst = 0;
  for (const size_t block : {4, 8, 16})
    for (const double lost : {0.999, 1.999, 0.7}) {  // of the sum's last bit, in each product
      std::vector<double> products(4096, lost * 0x1p-23);
      products[0] = 1;
      double right = 0;
      for (const double x : products) right += x;
      const double error = std::abs(block_sum(products, block) - right) / right;
      const auto n = static_cast<double>(products.size());
      EXPECT_LE(error, growth(model.u, n)) << block << ' ' << lost;
      worst = std::max(worst, error / growth(rounding.u, n));
    }
  EXPECT_GT(worst, 1.5);  // rounding's bound would be too small by far
}

TEST(BoundOfScale, IsNoneWhereAScaledFactorMayOverflow) {
  Case c;
  c.problem.dtype = f16;
  c.problem.scale = scale_range.max;
  Inputs inputs = make_inputs(c);
  inputs.replace("q", Tensor::from_doubles(f16, {1, 1, 1, 1}, {4}));
  inputs.replace("k", Tensor::from_doubles(f16, {1, 1, 1, 1}, {0}));
  const Precision wide{f32, f32, 2, {}, false}, narrow{f16, f16, 2, {}, false};
  EXPECT_LT(answer(c, inputs, wide).steps[0].bound[0], inf);
  EXPECT_EQ(answer(c, inputs, narrow).steps[0].bound[0], inf);
}

TEST(BoundSharpness, ADroppedKeyShows) {
  const Precision wide{f32, f32, 2, {}, false}, narrow{f32, bf16, 2, {}, false};
  EXPECT_GT(percent_that_show_a_dropped_key(256, wide, f32), 90);
  EXPECT_GT(percent_that_show_a_dropped_key(2048, wide, f32), 50);
  EXPECT_GT(percent_that_show_a_dropped_key(64, narrow, bf16), 40);
}

}  // namespace
}  // namespace attnfuzz
