// The log-sum-exp and the gradients of plain attention, with their mutants.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "targets/zoo/gradients.h"

namespace attnfuzz::zoo {
namespace {

constexpr double none = -std::numeric_limits<double>::infinity();

constexpr Mutant table[] = {
    {"lse-base-2", "the log-sum-exp is written as a logarithm to base 2", Kernel::backward,
     "lse-base-2"},
    {"lse-without-max", "log(sum) for max + log(sum)", Kernel::backward, "lse-without-max"},
    {"lse-without-sink", "the sink joins the sum after the log-sum-exp was written",
     Kernel::backward, "lse-without-sink", "not the query's own log-sum-exp, but without the sink"},
    {"dropout-ignored", "no weight is dropped", Kernel::backward, "dropout-ignored"},
    {"dropout-not-rescaled", "kept weights are not divided by the keep probability",
     Kernel::backward, "dropout-not-rescaled"},
    {"grad-delta-missing", "dS = P * dP, without delta = rowsum(dO * O)", Kernel::backward,
     "grad-without-row-dot"},
    {"grad-delta-not-dropped", "delta is summed before dropout", Kernel::backward,
     "grad-row-dot-not-dropped"},
    {"grad-not-masked", "the backward pass makes P for hidden keys too", Kernel::backward,
     "grad-not-masked nan-leak inf-leak"},
    {"grad-mask-top-left", "the backward mask does not know of the offset kv_len - q_len",
     Kernel::backward, "grad-mask-top-left"},
    {"grad-mask-one-more", "k <= q + 1 in the backward mask", Kernel::backward,
     "grad-mask-one-more"},
    {"grad-not-dropped", "the backward pass has no dropout", Kernel::backward, "grad-not-dropped"},
    {"grad-without-sink", "the backward pass normalises P without the sink", Kernel::backward,
     "grad-without-sink", "log-sum-exp that is not the query's own, but without the sink"},
    {"grad-not-normalised", "exp(s - max) for exp(s - lse) when P is made anew", Kernel::backward,
     "grad-not-normalised"},
    {"grad-base-2", "exp2(s - lse) when P is made anew, without log2(e)", Kernel::backward,
     "grad-base-2"},
    {"grad-softcap-slope-missing", "the softcap's derivative is missing", Kernel::backward,
     "grad-without-softcap-slope"},
    {"grad-softcap-slope-of-score", "1 - s^2 for 1 - (s / cap)^2", Kernel::backward,
     "grad-softcap-slope-not-divided"},
    {"dq-not-scaled", "dq lacks the scale", Kernel::backward, "dq-not-scaled"},
    {"dq-scaled-twice", "dq has the scale of dS and its own", Kernel::backward, "dq-scaled-twice"},
    {"dk-not-scaled", "dk lacks the scale", Kernel::backward, "dk-not-scaled"},
    {"dk-scaled-twice", "dk has the scale of q and its own", Kernel::backward, "dk-scaled-twice"},
    {"dkv-first-of-group", "dk and dv are written by a group's first query head alone",
     Kernel::backward, "grad-first-head-of-group"},
    {"dkv-last-of-group", "a group's query heads overwrite dk and dv, and do not add",
     Kernel::backward, "grad-last-head-of-group"},
    {"dv-not-dropped", "dv is made from P before dropout", Kernel::backward, "dv-not-dropped"},
    {"dbias-scaled", "dbias is taken from the scaled dS", Kernel::backward, "dbias-scaled"},
    {"dbias-other-side", "dbias is taken on the other side of the softcap", Kernel::backward,
     "dbias-other-side"},
    {"dsinks-negated", "the sinks' gradient has the wrong sign", Kernel::backward,
     "dsinks-negated"},
    {"dmem-last-row", "batch rows overwrite the memory's gradients, and do not add",
     Kernel::backward, "dmem-last-row"},
};

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t d = 0; d < n; ++d) sum += a[d] * b[d];
  return sum;
}

}  // namespace

Gradients::Gradients(const Context& context, const Inputs& inputs) : x(context) {
  const Problem& p = x.problem;
  for (const Output output : p.outputs) {
    if (output == Output::out) continue;
    const OutputSpec spec = output_spec(p, output, p.q_len);
    std::vector<double>& values = values_[output];
    values.resize(static_cast<size_t>(element_count(spec.shape)));
  }
  if (p.asks_gradients()) grad_out_ = read(x, p.layout, inputs.at("grad_out"), "grad_out");
}

double* Gradients::at(Output output, int64_t index) {
  const auto found = values_.find(output);
  return found == values_.end() ? nullptr : found->second.data() + index;
}

/// Where the gradient of a [batch, heads, len, dim] tensor's vector goes.
double* Gradients::row(Output output, int64_t heads, int64_t len, int64_t dim, const Pair& place) {
  Operand strides;
  const bool heads_first = x.problem.layout == Layout::bhsd;
  const int64_t head = heads_first ? len * dim : dim, token = heads_first ? dim : heads * dim;
  return at(output, place.b * heads * len * dim + place.h * head + place.i * token);
}

/// P of a query's keys and of its sink, made anew.
std::vector<double> Gradients::weights(const Query& query, double& of_sink) const {
  const Mutation& m = x.m;
  double max = query.sink, sum = 0;
  for (const Key& key : query.keys)
    if (!key.hidden) max = std::max(max, key.score);
  for (const Key& key : query.keys) sum += key.hidden ? 0 : std::exp(key.score - max);
  if (!m.is("grad-without-sink"_line)) sum += std::exp(query.sink - max);
  const double lse = max + (m.is("grad-not-normalised"_line) ? 0 : std::log(sum));
  const auto power = [&](double s) {
    return m.is("grad-base-2"_line) ? std::exp2(s - lse) : std::exp(s - lse);
  };
  std::vector<double> p;
  for (const Key& key : query.keys) p.push_back(is_shown(query, key) ? power(key.score) : 0);
  of_sink = power(query.sink);
  return p;
}

/// Whether the backward pass gives the key weight.
bool Gradients::is_shown(const Query& query, const Key& key) const {
  const Mutation& m = x.m;
  if (key.memory || m.is("grad-not-masked"_line)) return true;
  Pair pair{query.b, query.h, query.i, query.q_pos, key.j, key.position};
  if (m.is("grad-mask-top-left"_line)) pair.q_pos = query.i;
  pair.q_pos += m.one("grad-mask-one-more"_line);
  const bool other = m.is("grad-mask-top-left"_line) || m.is("grad-mask-one-more"_line);
  return other ? sees(x, pair) : !key.hidden;
}

/// Adds to a key's gradient, or sets it where the line that adds is wrong.
void Gradients::add_to_key(const Query& query, const Key& key, const double* dk, const double* dv) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  const int64_t group = p.num_heads / p.num_kv_heads;
  const int64_t nth = p.head_map == HeadMap::grouped ? query.h % group : query.h / p.num_kv_heads;
  if (m.is("dkv-first-of-group"_line) && nth > 0) return;
  if (m.is("dkv-last-of-group"_line) && nth + 1 < group) return;
  if (m.is("dmem-last-row"_line) && key.memory && query.b + 1 < p.batch) return;
  const Pair place{key.memory ? 0 : query.b, p.kv_head(query.h), key.j, 0, 0, 0};
  const auto add = [&](Output tokens, Output memory, const double* from, int64_t dim) {
    double* to = key.memory ? at(memory, (place.h * p.memory_kv + key.j) * dim)
                            : row(tokens, p.num_kv_heads, p.kv_len, dim, place);
    for (int64_t d = 0; to != nullptr && d < dim; ++d) to[d] += from[d];
  };
  add(Output::dk, Output::dmem_k, dk, p.head_dim);
  add(Output::dv, Output::dmem_v, dv, p.head_dim_v);
}

void Gradients::add(const Query& query) {
  add_lse(query);
  const bool any =
      std::any_of(query.keys.begin(), query.keys.end(), [](const Key& key) { return !key.hidden; });
  if (!x.problem.asks_gradients() || (!any && query.sink == none)) return;
  differentiate(query);
}

void Gradients::add_lse(const Query& query) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  double* to = at(Output::lse, (query.b * p.num_heads + query.h) * p.q_len + query.i);
  if (to == nullptr) return;
  double max = query.sink, sum = 0;
  for (const Key& key : query.keys)
    if (!key.hidden) max = std::max(max, key.score);
  for (const Key& key : query.keys) sum += key.hidden ? 0 : std::exp(key.score - max);
  if (!m.is("lse-without-sink"_line) && query.sink > none) sum += std::exp(query.sink - max);
  *to = (m.is("lse-without-max"_line) ? 0 : max) + std::log(sum);
  if (m.is("lse-base-2"_line)) *to *= std::numbers::log2e;
}

void Gradients::differentiate(const Query& query) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  const double scale = p.scale_value();
  const double dq_scale = m.is("dq-not-scaled"_line)     ? 1
                          : m.is("dq-scaled-twice"_line) ? scale * scale
                                                         : scale;
  const double dk_scale = m.is("dk-not-scaled"_line)     ? 1
                          : m.is("dk-scaled-twice"_line) ? scale * scale
                                                         : scale;
  const double* grad_out = grad_out_.at(query.b, query.h, query.i);
  double of_sink = 0, delta = 0;
  const std::vector<double> weight = weights(query, of_sink);
  const bool drops = !m.is("grad-not-dropped"_line);
  std::vector<double> dp(weight.size());
  for (size_t n = 0; n < weight.size(); ++n) {
    if (weight[n] == 0) continue;
    const double kept = drops ? query.keys[n].kept : 1;
    const double product = dot(grad_out, query.keys[n].v, p.head_dim_v);
    dp[n] = kept * product;
    delta += weight[n] * (m.is("grad-delta-not-dropped"_line) ? product : dp[n]);
  }
  if (m.is("grad-delta-missing"_line)) delta = 0;

  double* dq =
      row(Output::dq, p.num_heads, p.q_len, p.head_dim, {query.b, query.h, query.i, 0, 0, 0});
  double* dbias =
      at(Output::dbias, ((query.b * p.num_heads + query.h) * p.q_len + query.i) * p.kv_len);
  std::vector<double> dk(static_cast<size_t>(p.head_dim)), dv(static_cast<size_t>(p.head_dim_v));
  for (size_t n = 0; n < weight.size(); ++n) {
    const Key& key = query.keys[n];
    if (weight[n] == 0) continue;
    const double ds = weight[n] * (dp[n] - delta);
    const double dz = ds * softcap_slope(x, query, key);
    const double kept = drops && !m.is("dv-not-dropped"_line) ? key.kept : 1;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      if (dq != nullptr) dq[d] += dq_scale * dz * key.k[d];
      dk[static_cast<size_t>(d)] = dk_scale * dz * query.q[d];
    }
    for (int64_t d = 0; d < p.head_dim_v; ++d)
      dv[static_cast<size_t>(d)] = weight[n] * kept * grad_out[d];
    add_to_key(query, key, dk.data(), dv.data());
    const bool inside =
        (p.bias_order == BiasOrder::before_softcap) != m.is("dbias-other-side"_line);
    if (dbias != nullptr && !key.memory)
      dbias[key.j] = (inside ? dz : ds) * m.either("dbias-scaled"_line, scale, 1.0);
  }
  if (double* dsinks = at(Output::dsinks, query.h); dsinks != nullptr)
    *dsinks -= of_sink * m.either("dsinks-negated"_line, -delta, delta);
}

void Gradients::finish(StepOutput& step) const {
  for (const auto& [output, values] : values_) {
    OutputSpec spec = output_spec(x.problem, output, x.problem.q_len);
    step.more[output] = Tensor::from_doubles(spec.dtype, std::move(spec.shape), values);
  }
}

std::span<const Mutant> backward_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
