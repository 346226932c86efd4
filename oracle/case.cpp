#include "oracle/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "oracle/linear/kinds.h"

namespace attnfuzz {
namespace {

constexpr int64_t max_rows = int64_t{1} << 12;    // b and h of element_index
constexpr int64_t max_tokens = int64_t{1} << 24;  // s of element_index
constexpr int64_t max_dim = int64_t{1} << 16;     // d of element_index

constexpr ProblemSize sizes[] = {
    {"batch", &Problem::batch, 0, max_rows},
    {"num_heads", &Problem::num_heads, 0, max_rows},
    {"num_kv_heads", &Problem::num_kv_heads, 0, max_rows},
    {"q_len", &Problem::q_len, 0, max_tokens},
    {"kv_len", &Problem::kv_len, 0, max_tokens},
    {"head_dim", &Problem::head_dim, 1, max_dim},
    {"head_dim_v", &Problem::head_dim_v, 1, max_dim},
    {"memory_kv", &Problem::memory_kv, 0, max_tokens},
};

}  // namespace

int64_t Step::evicted(int64_t tokens) const {
  return std::clamp<int64_t>(tokens - start, 0, count);
}

void follow(const Step& step, std::vector<int64_t>& totals) {
  const std::vector<int64_t> before = totals;
  if (step.op == StepOp::fork) {
    totals[static_cast<size_t>(step.to)] = totals[static_cast<size_t>(step.from)];
  }
  for (size_t b = 0; b < totals.size(); ++b) {
    if (step.has_tokens()) totals[b] += step.real_tokens(b);
    if (step.op == StepOp::reorder) totals[b] = before[static_cast<size_t>(step.rows[b])];
    if (step.op == StepOp::crop) totals[b] = std::min(totals[b], step.length);
    if (step.op == StepOp::reset) totals[b] = 0;
    if (step.op == StepOp::evict) totals[b] -= step.evicted(totals[b]);
  }
}

double largest(Quant quant) {
  constexpr double table[] = {0, 127, 448, 57344};
  return table[static_cast<size_t>(quant)];
}

double Problem::scale_value() const {
  return scale ? *scale : 1 / std::sqrt(static_cast<double>(head_dim));
}

bool Problem::asks(Output output) const {
  return std::find(outputs.begin(), outputs.end(), output) != outputs.end();
}

bool Problem::asks_gradients() const {
  return std::any_of(outputs.begin(), outputs.end(), is_gradient);
}

int64_t Problem::kv_head(int64_t h) const {
  return head_map == HeadMap::grouped ? h / (num_heads / num_kv_heads) : h % num_kv_heads;
}

std::span<const ProblemSize> problem_sizes() {
  return sizes;
}

}  // namespace attnfuzz
