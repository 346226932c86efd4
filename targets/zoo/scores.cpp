// The score of a key: dot product, scale, softcap and biases, with their mutants.
#include <algorithm>
#include <cmath>

#include "targets/zoo/gradients.h"
#include "targets/zoo/sparse.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"scale-missing", "the dot product is not scaled", Kernel::naive, "scale-missing"},
    {"scale-twice", "the scale is applied to q and again to the scores", Kernel::tiled,
     "scale-twice scale-of-head-dim"},
    {"scale-root", "the scale's root is applied to q, and not to k", Kernel::split_kv,
     "scale-root"},
    {"scale-of-head-dim-v", "1/sqrt of the values' head size", Kernel::tiled,
     "scale-of-head-dim-v"},
    {"scale-of-hidden", "1/sqrt(num_heads * head_dim)", Kernel::naive, "scale-of-hidden"},
    {"scale-of-head-dim", "1/head_dim", Kernel::tiled, "scale-of-head-dim",
     "scaled by the scale times itself|scaled by 1/head_dim"},
    {"scale-of-padded-dim", "1/sqrt of head_dim rounded up to a multiple of 8", Kernel::tiled,
     "scale-of-padded-dim-8"},
    {"scale-ignored", "the case's scale is not passed on", Kernel::split_kv, "scale-ignored"},
    {"scale-integer", "the scale is 1 / floor(sqrt(head_dim))", Kernel::naive,
     "scale-of-whole-root"},
    {"softcap-ignored", "the softcap is not passed on", Kernel::tiled, "softcap-ignored"},
    {"softcap-before-scale", "the softcap comes before the scale", Kernel::naive,
     "softcap-before-scale", "the softcap comes before the scale"},
    {"softcap-not-multiplied", "tanh(s / cap) without the factor cap", Kernel::tiled,
     "softcap-not-multiplied", "without the factor cap"},
    {"softcap-not-divided", "cap * tanh(s)", Kernel::split_kv, "softcap-not-divided",
     "without the division by cap"},
    {"softcap-after-bias", "the bias is added before the softcap", Kernel::tiled,
     "bias-before-softcap"},
    {"softcap-before-bias", "the bias is always added after the softcap", Kernel::naive,
     "bias-after-softcap"},
    {"softcap-clamped", "clamp(s, -cap, cap) for the tanh", Kernel::tiled,
     "softcap-clamped softcap-ignored"},
    {"alibi-ignored", "ALiBi is not passed on", Kernel::split_kv, "alibi-ignored"},
    {"alibi-published-slopes", "the slopes of a power of two of heads, then every other one",
     Kernel::tiled, "alibi-published-slopes"},
    {"alibi-slopes-from-zero", "2^(-8 h / heads)", Kernel::naive, "alibi-slopes-from-zero"},
    {"alibi-slopes-of-kv-heads", "slopes counted over KV heads", Kernel::tiled,
     "alibi-slopes-of-kv-heads"},
    {"alibi-scaled", "ALiBi is added before the scale", Kernel::split_kv, "alibi-scaled"},
    {"alibi-raised", "ALiBi is added with the wrong sign", Kernel::naive, "alibi-raised"},
    {"alibi-signed-distance", "the distance's absolute value is missing", Kernel::tiled,
     "alibi-signed-distance"},
    {"alibi-first-head", "the first head's slope for all heads", Kernel::tiled, "alibi-first-head"},
    {"alibi-top-left", "ALiBi's distance does not know of the offset kv_len - q_len", Kernel::tiled,
     "alibi-top-left align-top-left"},
    {"bias-ignored", "the bias is not passed on", Kernel::naive, "bias-ignored"},
    {"bias-first-head", "the bias's head stride is 0", Kernel::tiled, "bias-first-head"},
    {"bias-first-row", "the bias's batch stride is 0", Kernel::split_kv, "bias-first-row"},
    {"bias-first-query", "the bias's query stride is 0", Kernel::tiled, "bias-first-query"},
    {"bias-heads-as-rows", "the bias's batch and head strides are swapped", Kernel::naive,
     "bias-heads-as-rows"},
    {"bias-transposed", "the bias is read as [key, query]", Kernel::tiled, "bias-transposed"},
    {"bias-scaled", "the bias is added before the scale", Kernel::tiled, "bias-scaled"},
    {"bias-negated", "the bias is subtracted", Kernel::naive, "bias-negated"},
    {"bias-inf-times-mask", "bias * mask + (1 - mask) * lowest: 0 times -inf is NaN", Kernel::tiled,
     "inf-bias"},
    {"dot-tail-4", "the dot product leaves out head_dim mod 4 elements", Kernel::split_kv,
     "head-dim-tail-4"},
    {"dot-tail-8", "the dot product leaves out head_dim mod 8 elements", Kernel::tiled,
     "head-dim-tail-8"},
    {"dot-last", "d < head_dim - 1", Kernel::naive, "head-dim-last-missing"},
    {"scores-in-f16", "scores are kept in f16", Kernel::tiled, "lower-precision"},
    {"scores-in-bf16", "scores are kept in bf16", Kernel::split_kv, "lower-precision"},
};

double dot(const Context& x, const double* q, const double* k) {
  const Mutation& m = x.m;
  int64_t dim = x.problem.head_dim;
  if (m.is("dot-tail-4"_line) && dim > 4) dim = dim / 4 * 4;
  if (m.is("dot-tail-8"_line) && dim > 8) dim = dim / 8 * 8;
  if (m.is("dot-last"_line) && dim > 1) --dim;
  double sum = 0;
  for (int64_t d = 0; d < dim; ++d) sum += q[d] * k[d];
  return sum;
}

double scale(const Context& x) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  const double right = p.scale_value();
  const auto dim = static_cast<double>(p.head_dim);
  if (m.is("scale-missing"_line)) return 1;
  if (m.is("scale-twice"_line)) return right * right;
  if (m.is("scale-root"_line)) return std::sqrt(right);
  if (m.is("scale-ignored"_line)) return 1 / std::sqrt(dim);
  if (p.scale) return right;
  if (m.is("scale-of-head-dim-v"_line)) return 1 / std::sqrt(static_cast<double>(p.head_dim_v));
  if (m.is("scale-of-hidden"_line))
    return 1 / std::sqrt(static_cast<double>(p.num_heads * p.head_dim));
  if (m.is("scale-of-head-dim"_line)) return 1 / dim;
  if (m.is("scale-of-padded-dim"_line)) return 1 / std::sqrt(std::ceil(dim / 8) * 8);
  if (m.is("scale-integer"_line)) return 1 / std::floor(std::sqrt(dim));
  return right;
}

double slope_of(int64_t h, int64_t heads) {
  return std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(heads));
}

double slope(const Context& x, int64_t h) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  if (m.is("alibi-first-head"_line)) return slope_of(0, p.num_heads);
  if (m.is("alibi-slopes-from-zero"_line)) return slope_of(h - 1, p.num_heads);
  if (m.is("alibi-slopes-of-kv-heads"_line)) return slope_of(p.kv_head(h), p.num_kv_heads);
  if (m.is("alibi-scaled"_line)) return slope_of(h, p.num_heads) * p.scale_value();
  if (m.is("alibi-published-slopes"_line)) {
    int64_t power = 1;
    while (power * 2 <= p.num_heads) power *= 2;
    return h < power ? slope_of(h, power) : slope_of(2 * (h - power), 2 * power);
  }
  return slope_of(h, p.num_heads) * m.either("alibi-raised"_line, -1.0, 1.0);
}

double alibi(const Context& x, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("alibi-ignored"_line)) return 0;
  const int64_t q_pos = m.either("alibi-top-left"_line, at.i, at.q_pos);
  const auto distance = static_cast<double>(q_pos - at.key_pos);
  return -slope(x, at.h) * m.either("alibi-signed-distance"_line, distance, std::abs(distance));
}

/// The element of the tensor that the kernel is given. What lies beyond its end, and a bias that
/// the tensor holds together with ALiBi's, are made as the generator makes them.
double given_bias(const Context& x, const RuleUse& use, int64_t b, int64_t h, int64_t i,
                  int64_t j) {
  const Problem& p = x.problem;
  const bool inside = b < p.batch && h < p.num_heads && i < p.q_len && j < p.kv_len;
  if (inside && !x.bias.values.empty() && p.mask.find("alibi") == nullptr)
    return x.bias.at(b, h, i)[j];
  double value = 0;
  uint8_t seen = 1;
  use.spec->apply(use, {p, x.data, b, h, i, i, {&j, 1}, 0, 0}, {{&seen, 1}, {&value, 1}});
  return value;
}

double tensor_bias(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("bias-ignored"_line)) return 0;
  int64_t b = at.b, h = at.h, i = at.i, j = at.j;
  if (m.is("bias-first-head"_line)) h = 0;
  if (m.is("bias-first-row"_line)) b = 0;
  if (m.is("bias-first-query"_line)) i = 0;
  if (m.is("bias-heads-as-rows"_line)) std::swap(b, h);
  if (m.is("bias-transposed"_line)) std::swap(i, j);
  double value = given_bias(x, use, b, h, i, j);
  if (m.is("bias-scaled"_line)) value *= x.problem.scale_value();
  return m.is("bias-negated"_line) ? -value : value;
}

double capped(const Context& x, double s) {
  const Mutation& m = x.m;
  const double cap = x.problem.softcap;
  if (cap == 0 || m.is("softcap-ignored"_line)) return s;
  if (m.is("softcap-clamped"_line)) return std::clamp(s, -cap, cap);
  return m.either("softcap-not-multiplied"_line, 1.0, cap) *
         std::tanh(s / m.either("softcap-not-divided"_line, 1.0, cap));
}

}  // namespace

double bias(const Context& x, const Pair& pair) {
  double sum = 0;
  for (const RuleUse& use : x.problem.mask.rules) {
    if (use.spec->name == "alibi") sum += alibi(x, pair);
    if (use.spec->name == "bias") sum += tensor_bias(x, use, pair);
    if (use.spec->name == "relative_bias") sum += relative_bias(x, use, pair);
  }
  return sum;
}

double score(const Context& x, const Pair& pair, const double* q, const Key& key) {
  const Mutation& m = x.m;
  const double added = key.memory ? 0 : bias(x, pair);
  const bool first =
      m.is("softcap-after-bias"_line) ||
      (x.problem.bias_order == BiasOrder::before_softcap && !m.is("softcap-before-bias"_line));
  double s = dot(x, q, key.k);
  if (m.is("softcap-before-scale"_line)) {
    s = scale(x) * capped(x, s) + added;
  } else {
    s *= scale(x);
    s = first ? capped(x, s + added) : capped(x, s) + added;
  }
  if (m.is("scores-in-f16"_line)) return round_to(DType::f16, s);
  if (m.is("scores-in-bf16"_line)) return round_to(DType::bf16, s);
  return s;
}

double softcap_slope(const Context& x, const Query& query, const Key& key) {
  const Mutation& m = x.m;
  const double cap = x.problem.softcap;
  if (cap == 0 || m.is("grad-softcap-slope-missing"_line)) return 1;
  double s = scale(x) * dot(x, query.q, key.k);
  if (x.problem.bias_order == BiasOrder::before_softcap && !key.memory)
    s += bias(x, {query.b, query.h, query.i, query.q_pos, key.j, key.position});
  const double t = std::tanh(s / cap) * m.either("grad-softcap-slope-of-score"_line, cap, 1.0);
  return 1 - t * t;
}

std::span<const Mutant> score_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
