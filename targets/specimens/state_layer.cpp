#include "targets/specimens/state_layer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "oracle/linear/kinds.h"

namespace attnfuzz {

StateLayer::StateLayer(Form form, const Case& c, const Inputs& inputs)
    : form_(form), c_(c), inputs_(inputs), lengths_(static_cast<size_t>(c.problem.batch), 0) {
  clear();
}

void StateLayer::clear() {
  const auto size = static_cast<size_t>(problem().head_dim * problem().head_dim_v);
  const auto heads = static_cast<size_t>(problem().num_kv_heads);
  rows.assign(lengths_.size(), std::vector<State>(heads, State(size, 0)));
  std::fill(lengths_.begin(), lengths_.end(), 0);
}

size_t StateLayer::at(const Array& a, size_t b, int64_t h, int64_t t, int64_t d) {
  return static_cast<size_t>(
      ((static_cast<int64_t>(b) * a.shape[1] + h) * a.shape[2] + t) * a.shape[3] + d);
}

StateLayer::Array StateLayer::read(const std::string& name) const {
  const Tensor& tensor = inputs_.at(name);
  Array array;
  array.shape = tensor.shape;
  array.shape.resize(4, 1);
  for (const double x : tensor.to_doubles()) array.values.push_back(static_cast<float>(x));
  return problem().layout == Layout::bhsd ? array : torch_like::transpose(array, 1, 2);
}

StateLayer::Tokens StateLayer::tokens_of(const std::string& suffix) const {
  const KindTraits kind = traits(problem().kind);
  Tokens tokens{read("q" + suffix), read("k" + suffix), read("v" + suffix), {}, {}};
  if (kind.gate >= Gate::head) tokens.gate = read("gate" + suffix);
  if (kind.beta) tokens.beta = read("beta" + suffix);
  return tokens;
}

Tensor StateLayer::written(const Array& out) const {
  const Array laid = problem().layout == Layout::bhsd ? out : torch_like::transpose(out, 1, 2);
  return Tensor::from_doubles(problem().dtype, laid.shape,
                              {laid.values.begin(), laid.values.end()});
}

float StateLayer::decay(const Tokens& tokens, size_t b, int64_t g, int64_t t, int64_t d) const {
  if (traits(problem().kind).gate == Gate::fixed)
    return static_cast<float>(std::exp(fixed_gate(g)));
  if (tokens.gate.values.empty()) return 1;
  return std::exp(tokens.gate.values[at(tokens.gate, b, g, t, tokens.gate.shape[3] > 1 ? d : 0)]);
}

void StateLayer::answer(const Tokens& tokens, const Stretch& stretch, int64_t t, const State& state,
                        Array& out) const {
  const auto scale = static_cast<float>(problem().scale_value());
  const int64_t dim = tokens.k.shape[3], dim_v = tokens.v.shape[3];
  for (int64_t h = 0; h < tokens.q.shape[1]; ++h) {
    if (problem().kv_head(h) != stretch.g) continue;
    for (int64_t e = 0; e < dim_v; ++e) {
      float sum = 0;
      for (int64_t d = 0; d < dim; ++d)
        sum += tokens.q.values[at(tokens.q, stretch.b, h, t, d)] *
               state[static_cast<size_t>(d * dim_v + e)];
      out.values[at(out, stretch.b, h, t, e)] = scale * sum;
    }
  }
}

void StateLayer::take(const Tokens& tokens, const Stretch& stretch, State& state,
                      Array& out) const {
  const size_t b = stretch.b;
  const int64_t g = stretch.g, dim = tokens.k.shape[3], dim_v = tokens.v.shape[3];
  for (int64_t t = stretch.first; t < stretch.first + stretch.count; ++t) {
    const float* k = tokens.k.values.data() + at(tokens.k, b, g, t);
    const float* v = tokens.v.values.data() + at(tokens.v, b, g, t);
    State u(v, v + dim_v);
    for (int64_t d = 0; d < dim; ++d)
      for (int64_t e = 0; e < dim_v; ++e)
        state[static_cast<size_t>(d * dim_v + e)] *= decay(tokens, b, g, t, d);
    if (!tokens.beta.values.empty())
      for (int64_t e = 0; e < dim_v; ++e) {
        float read = 0;
        for (int64_t d = 0; d < dim; ++d) read += k[d] * state[static_cast<size_t>(d * dim_v + e)];
        float& input = u[static_cast<size_t>(e)];
        input = tokens.beta.values[at(tokens.beta, b, g, t)] * (input - read);
      }
    for (int64_t d = 0; d < dim; ++d)
      for (int64_t e = 0; e < dim_v; ++e)
        state[static_cast<size_t>(d * dim_v + e)] += k[d] * u[static_cast<size_t>(e)];
    answer(tokens, stretch, t, state, out);
    after_token(stretch, t, state);
  }
}

StateLayer::Stretch StateLayer::stretch_of(const Step& step, size_t b, int64_t g) const {
  return {b, g, step.first_real(b), step.real_tokens(b)};
}

int64_t StateLayer::counted(size_t step, size_t b) const {
  return steps()[step].real_tokens(b);
}

void StateLayer::run_plain(std::vector<StepOutput>& done) {
  const Tokens tokens = tokens_of("");
  Array out({tokens.q.shape[0], tokens.q.shape[1], tokens.q.shape[2], tokens.v.shape[3]});
  const State empty(static_cast<size_t>(tokens.k.shape[3] * tokens.v.shape[3]), 0);
  for (size_t b = 0; b < lengths_.size(); ++b)
    for (int64_t g = 0; g < tokens.k.shape[1]; ++g) {
      State state = empty;
      take(tokens, {b, g, 0, tokens.k.shape[2]}, state, out);
    }
  done.push_back({written(out)});
}

Tensor StateLayer::run_tokens(size_t n) {
  const Step& step = steps()[n];
  const Tokens tokens = tokens_of("." + std::to_string(n));
  Array out({problem().batch, problem().num_heads, step.q_len, problem().head_dim_v});
  for (size_t b = 0; b < lengths_.size(); ++b) {
    for (int64_t g = 0; g < problem().num_kv_heads; ++g) {
      State& state = rows[b][static_cast<size_t>(g)];
      const Stretch stretch = stretch_of(step, b, g);
      if (!carries_on(step)) std::fill(state.begin(), state.end(), 0.0F);
      before(tokens, step, stretch, state);
      take(tokens, stretch, state, out);
    }
    lengths_[b] += counted(n, b);
  }
  return written(out);
}

void StateLayer::reorder(const std::vector<int64_t>& to) {
  const std::vector<std::vector<State>> old = rows;
  for (size_t b = 0; b < to.size(); ++b) rows[b] = old[static_cast<size_t>(to[b])];
}

void StateLayer::change(const Step& step) {
  if (step.op == StepOp::reset) return clear();
  std::vector<int64_t> to(lengths_.size());
  std::iota(to.begin(), to.end(), 0);
  if (step.op == StepOp::reorder) to = step.rows;
  if (step.op == StepOp::fork) to[static_cast<size_t>(step.to)] = step.from;
  const std::vector<int64_t> old = lengths_;
  for (size_t b = 0; b < to.size(); ++b) lengths_[b] = old[static_cast<size_t>(to[b])];
  reorder(to);
}

void StateLayer::run(std::vector<StepOutput>& done) {
  if (!c_.cached()) return run_plain(done);
  for (size_t n = 0; n < steps().size(); ++n) {
    StepOutput output;
    if (steps()[n].has_tokens())
      output.out = run_tokens(n);
    else
      change(steps()[n]);
    output.lengths = lengths_;
    done.push_back(std::move(output));
  }
}

}  // namespace attnfuzz
