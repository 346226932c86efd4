// The oracle's GFLOP/s on one thread by length, as JSON: [answer alone, answer with error bounds].
// FLOPs are counted as 4·heads·q_len·kv_len·head_dim (two matrix products), as for its peer; the
// bounds take two matrix products more, which are not counted.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <exception>

#include "oracle/answer.h"

namespace {

using namespace attnfuzz;

constexpr int64_t heads = 4, dim = 128;

/// The best of five runs, in processor time: what else the machine does matters little.
template <class Run>
double gflops(int64_t length, Run run) {
  double best = 1e300;
  for (int round = 0; round < 5; ++round) {
    const std::clock_t start = std::clock();
    if (run().steps.empty()) std::abort();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return 4.0 * heads * static_cast<double>(length * length) * dim / best / 1e9;
}

}  // namespace

int main(int argc, char** argv) try {
  Precision precision;
  precision.accumulate = precision.p = DType::f64;
  fmt::print("{{");
  for (int arg = 1; arg < argc; ++arg) {
    const int64_t length = std::atoll(argv[arg]);
    Case c;
    c.problem.num_heads = c.problem.num_kv_heads = heads;
    c.problem.q_len = c.problem.kv_len = length;
    c.problem.head_dim = c.problem.head_dim_v = dim;
    c.problem.dtype = DType::f64;
    const Inputs inputs = make_inputs(c);
    fmt::print("{}\"{}\": [{:.2f}, {:.2f}]", arg > 1 ? ", " : "", length,
               gflops(length, [&] { return answer(c, inputs); }),
               gflops(length, [&] { return answer(c, inputs, precision, Sample{}); }));
  }
  fmt::print("}}\n");
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 3;
}
