// The oracle's GFLOP/s on one thread, answer alone and with its error bounds, by length, as JSON.
// FLOPs are counted as 4·heads·q_len·kv_len·head_dim (two matrix products), as for its peer.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "oracle/answer.h"

int main(int argc, char** argv) {
  using namespace attnfuzz;
  constexpr int64_t heads = 4, dim = 128;
  fmt::print("{{");
  for (int arg = 1; arg < argc; ++arg) {
    const int64_t length = std::atoll(argv[arg]);
    Case c;
    c.problem.num_heads = c.problem.num_kv_heads = heads;
    c.problem.q_len = c.problem.kv_len = length;
    c.problem.head_dim = c.problem.head_dim_v = dim;
    c.problem.dtype = DType::f64;
    const Inputs inputs = make_inputs(c);
    Precision precision;
    precision.accumulate = precision.p = DType::f64;
    double best = 1e300;
    for (int round = 0; round < 5; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const Answer a = answer(c, inputs, precision);
      best = std::min(
          best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      if (a.steps.empty()) return 3;
    }
    fmt::print("{}\"{}\": {:.2f}", arg > 1 ? ", " : "", length,
               4.0 * heads * length * length * dim / best / 1e9);
  }
  fmt::print("}}\n");
}
