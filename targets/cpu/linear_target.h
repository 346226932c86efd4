#pragma once
#include <Eigen/Core>
#include <string>
#include <utility>
#include <vector>

#include "targets/cpu/query_rows.h"

namespace attnfuzz {

/// Tokens of one KV head in one batch row, in order, widened to the accumulator.
template <class Acc>
struct StateTokens {
  using Matrix = Eigen::Matrix<Acc, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  int64_t count = 0;
  Matrix k, v;
  Matrix gate;  ///< logarithms of the decays, [count, head_dim or 1]; no columns: none
  Matrix beta;  ///< [count, 1]; no columns: none
  std::vector<Matrix> q, out;  ///< for each query head that reads the state; q is scaled
};

/// Takes the tokens into the state, [head_dim, head_dim_v], and answers their queries.
template <class Acc>
using StateKernel = void (*)(StateTokens<Acc>& tokens, typename StateTokens<Acc>::Matrix& state);
struct StateKernels {
  StateKernel<float> f32;
  StateKernel<double> f64;
};

/// The capabilities of what keeps a state as StateTarget does.
std::string state_capabilities(int64_t chunk);

/// A target for kinds of attention with a state: keeps a state for each KV head and batch row, and
/// follows the steps of cached cases.
class StateTarget final : public CpuTarget {
 public:
  StateTarget(std::string name, std::string about, int64_t chunk, StateKernels kernels)
      : CpuTarget(std::move(name), std::move(about), state_capabilities(chunk)),
        kernels_(kernels) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override;

  StateKernels kernels_;
};

}  // namespace attnfuzz
