#include "targets/cpu/linear_target.h"

#include <fmt/format.h>

#include <numeric>
#include <type_traits>

#include "oracle/linear/kinds.h"

namespace attnfuzz {
namespace {

/// The states of all rows and KV heads, and how many tokens each row has taken in.
template <class Acc>
class States {
 public:
  using Matrix = typename StateTokens<Acc>::Matrix;

  explicit States(const Problem& p)
      : heads_(p.num_kv_heads),
        states_(static_cast<size_t>(p.batch * heads_), Matrix::Zero(p.head_dim, p.head_dim_v)),
        lengths(static_cast<size_t>(p.batch), 0) {}

  Matrix& at(int64_t b, int64_t g) { return states_[static_cast<size_t>(b * heads_ + g)]; }

  /// Row b becomes a copy of row rows[b].
  void reorder(const std::vector<int64_t>& rows) {
    const std::vector<Matrix> old = states_;
    const std::vector<int64_t> old_lengths = lengths;
    for (size_t b = 0; b < rows.size(); ++b) {
      const int64_t from = rows[b];
      lengths[b] = old_lengths[static_cast<size_t>(from)];
      for (int64_t g = 0; g < heads_; ++g)
        at(static_cast<int64_t>(b), g) = old[static_cast<size_t>(from * heads_ + g)];
    }
  }

  void clear() {
    for (Matrix& state : states_) state.setZero();
    std::fill(lengths.begin(), lengths.end(), 0);
  }

 private:
  int64_t heads_;
  std::vector<Matrix> states_;

 public:
  std::vector<int64_t> lengths;
};

/// One step's tensors, of element type T.
template <class T>
struct StepTensors {
  View<const T> q, k, v, gate, beta;
  View<T> out;
  int64_t gate_dim = 0;

  StepTensors(const Problem& p, const Inputs& inputs, const std::string& suffix, Tensor& output) {
    const auto view = [&](const char* name) {
      const Tensor& tensor = inputs.at(name + suffix);
      Shape shape = tensor.shape;
      shape.resize(4, 1);  // one number for each token
      return view_in(p.layout, shape, tensor.as<T>());
    };
    const KindTraits kind = traits(p.kind);
    q = view("q");
    k = view("k");
    v = view("v");
    if (kind.gate >= Gate::head) gate = view("gate");
    if (kind.beta) beta = view("beta");
    gate_dim = kind.gate == Gate::key ? p.head_dim : kind.gate == Gate::none ? 0 : 1;
    out = view_in(p.layout, output.shape, output.as<T>());
  }
};

/// A part of a row's tokens: a document, or a step's real tokens.
struct Stretch {
  int64_t b, first, count;
};

template <class T, class Acc>
class Runner {
 public:
  using Matrix = typename StateTokens<Acc>::Matrix;

  Runner(const Case& c, const Inputs& inputs, StateKernel<Acc> kernel)
      : c_(c), p_(c.problem), inputs_(inputs), kernel_(kernel), states_(p_) {}

  Outcome run() {
    Outcome outcome;
    if (!c_.cached()) {
      outcome.steps.push_back({plain()});
      return outcome;
    }
    for (size_t n = 0; n < c_.steps.size(); ++n) {
      const Step& step = c_.steps[n];
      StepOutput output;
      if (step.has_tokens())
        output.out = tokens(step, fmt::format(".{}", n));
      else
        change(step);
      output.lengths = output.positions = states_.lengths;
      output.capacity = 0;
      outcome.steps.push_back(std::move(output));
    }
    return outcome;
  }

 private:
  Tensor output(int64_t q_len) const {
    return {p_.dtype, shape_in(p_.layout, p_.batch, p_.num_heads, q_len, p_.head_dim_v)};
  }

  Tensor plain() {
    Tensor out = output(p_.q_len);
    const StepTensors<T> tensors(p_, inputs_, "", out);
    const RuleUse* documents = p_.mask.find("documents");
    const std::vector<int64_t> lens =
        documents != nullptr ? documents->list(0) : std::vector<int64_t>{p_.kv_len};
    int64_t first = 0;
    for (const int64_t len : lens) {
      states_.clear();
      for (int64_t b = 0; b < p_.batch; ++b) row(tensors, {b, first, len});
      first += len;
    }
    return out;
  }

  Tensor tokens(const Step& step, const std::string& suffix) {
    Tensor out = output(step.q_len);
    const StepTensors<T> tensors(p_, inputs_, suffix, out);
    for (int64_t b = 0; b < p_.batch; ++b) {
      const auto at = static_cast<size_t>(b);
      row(tensors, {b, step.first_real(at), step.real_tokens(at)});
      states_.lengths[at] += step.real_tokens(at);
    }
    return out;
  }

  void change(const Step& step) {
    std::vector<int64_t> rows(static_cast<size_t>(p_.batch));
    std::iota(rows.begin(), rows.end(), 0);
    if (step.op == StepOp::fork) rows[static_cast<size_t>(step.to)] = step.from;
    if (step.op == StepOp::reset)
      states_.clear();
    else
      states_.reorder(step.op == StepOp::reorder ? step.rows : rows);
  }

  static Matrix widened(const View<const T>& from, int64_t head, int64_t dim,
                        const Stretch& stretch) {
    Matrix to(dim > 0 ? stretch.count : 0, dim);
    for (int64_t t = 0; t < to.rows(); ++t) {
      const T* at = from.at(stretch.b, head, stretch.first + t);
      for (int64_t d = 0; d < dim; ++d) to(t, d) = static_cast<Acc>(at[d]);
    }
    return to;
  }

  void row(const StepTensors<T>& tensors, const Stretch& stretch) {
    const bool fixed = traits(p_.kind).gate == Gate::fixed;
    StateTokens<Acc> tokens;
    tokens.count = stretch.count;
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      tokens.k = widened(tensors.k, g, p_.head_dim, stretch);
      tokens.v = widened(tensors.v, g, p_.head_dim_v, stretch);
      if (fixed)
        tokens.gate = Matrix::Constant(stretch.count, 1, static_cast<Acc>(fixed_gate(g)));
      else
        tokens.gate = widened(tensors.gate, g, tensors.gate_dim, stretch);
      tokens.beta = widened(tensors.beta, g, traits(p_.kind).beta ? 1 : 0, stretch);
      std::vector<int64_t> heads;
      for (int64_t h = 0; h < p_.num_heads; ++h)
        if (p_.kv_head(h) == g) heads.push_back(h);
      tokens.q.clear();
      for (const int64_t h : heads)
        tokens.q.push_back(widened(tensors.q, h, p_.head_dim, stretch) *
                           static_cast<Acc>(p_.scale_value()));
      tokens.out.assign(heads.size(), Matrix(stretch.count, p_.head_dim_v));
      kernel_(tokens, states_.at(stretch.b, g));
      for (size_t n = 0; n < heads.size(); ++n)
        for (int64_t t = 0; t < stretch.count; ++t)
          for (int64_t e = 0; e < p_.head_dim_v; ++e)
            tensors.out.at(stretch.b, heads[n], stretch.first + t)[e] =
                static_cast<T>(tokens.out[n](t, e));
    }
  }

  const Case& c_;
  const Problem& p_;
  const Inputs& inputs_;
  StateKernel<Acc> kernel_;
  States<Acc> states_;
};

}  // namespace

Outcome StateTarget::compute(const Case& c, const Inputs& inputs) {
  return with_element_type(c.problem.dtype, [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_same_v<T, double>)
      return Runner<T, double>(c, inputs, kernels_.f64).run();
    else
      return Runner<T, float>(c, inputs, kernels_.f32).run();
  });
}

std::string state_capabilities(int64_t chunk) {
  return fmt::format(R"({{
    "sizes": {{"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 512],
      "kv_len": [0, 1024], "head_dim": [1, 256], "head_dim_v": [1, 256], "steps": [0, 64]}},
    "tiles": {{"q_len": [{0}], "kv_len": [{0}]}}, "max_rules": 2,
    "features": ["kind:linear", "kind:retnet", "kind:ssd", "kind:delta", "kind:gated_delta",
      "dtype:f32", "dtype:f64", "dtype:f16", "dtype:bf16", "layout:bhsd", "layout:bshd", "gqa",
      "mqa", "head_map:grouped", "head_map:interleaved", "head_dim_v", "scale", "rule:causal",
      "rule:documents", "empty", "data:normal", "data:large", "data:constant", "data:one_hot",
      "data:tiny", "nonfinite:nan_padding", "nonfinite:inf_padding", "cache:dynamic",
      "step:prefill", "step:append", "step:decode", "step:reorder", "step:reset", "step:fork",
      "ragged", "ragged_left"]
  }})",
                     chunk);
}

}  // namespace attnfuzz
