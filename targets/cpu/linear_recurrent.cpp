// Token by token: the definition of a recurrence (Yang et al. 2024, "Gated Linear Attention"; Sun
// et al. 2023; Schlag, Irie and Schmidhuber 2021 for the delta rule).
#include "targets/cpu/cpu.h"
#include "targets/cpu/linear_target.h"

namespace attnfuzz {
namespace {

template <class Acc>
void recurrent(StateTokens<Acc>& tokens, typename StateTokens<Acc>::Matrix& state) {
  Eigen::Matrix<Acc, 1, Eigen::Dynamic> u;
  for (int64_t t = 0; t < tokens.count; ++t) {
    if (tokens.gate.cols() == 1)
      state *= std::exp(tokens.gate(t, 0));
    else if (tokens.gate.cols() > 1)
      state.array().colwise() *= tokens.gate.row(t).transpose().array().exp();
    u = tokens.v.row(t);
    if (tokens.beta.cols() > 0) {
      u.noalias() -= tokens.k.row(t) * state;
      u *= tokens.beta(t, 0);
    }
    state.noalias() += tokens.k.row(t).transpose() * u;
    for (size_t n = 0; n < tokens.q.size(); ++n)
      tokens.out[n].row(t).noalias() = tokens.q[n].row(t) * state;
  }
}

}  // namespace

std::unique_ptr<Target> open_cpu_linear_recurrent() {
  return std::make_unique<StateTarget>("cpu:linear-recurrent",
                                       "attention with a state, token by token", 1,
                                       StateKernels{recurrent<float>, recurrent<double>});
}

}  // namespace attnfuzz
