#include "targets/specimens/backward.h"

#include <algorithm>

namespace attnfuzz {

using torch_like::Array;

Array weights(const Problem& problem, const Inputs& inputs, const Heads& heads) {
  const Array mask = additive(dense_mask_4d(problem, inputs), minus_infinity);
  return safe_softmax(sum(scores(heads.q, heads.k, problem.scale_value()), mask));
}

Array dropout_factors(const Problem& problem, const Inputs& inputs, const Array& p) {
  const Tensor* dropout = inputs.find("dropout");
  if (dropout == nullptr) return Array(p.shape, 1);
  return scaled(heads_first(*dropout, Layout::bhsd),
                100 / static_cast<double>(problem.dropout_keep));
}

Array product(const Array& a, const Array& b) {
  return torch_like::elementwise(a, b, [](float x, float y) { return x * y; });
}

Array softmax_gradient(const Array& p, const Array& dp) {
  const int64_t kv_len = p.size(-1);
  Array ds = p;
  for (int64_t row = 0; row < static_cast<int64_t>(p.values.size()); row += kv_len) {
    const float* weight = p.values.data() + row;
    const float* grad = dp.values.data() + row;
    float dot = 0;
    for (int64_t j = 0; j < kv_len; ++j) dot += weight[j] * grad[j];
    for (int64_t j = 0; j < kv_len; ++j)
      ds.values[static_cast<size_t>(row + j)] = weight[j] * (grad[j] - dot);
  }
  return ds;
}

Array transposed_product(const Array& a, const Array& b) {
  return weigh(torch_like::transpose(a, 2, 3), b);
}

Array scaled(Array a, double factor) {
  for (float& x : a.values) x *= static_cast<float>(factor);
  return a;
}

HeadSlot head_slot(const Problem& problem, int64_t h) {
  const int64_t group = problem.num_heads / problem.num_kv_heads;
  if (problem.head_map == HeadMap::grouped) return {h / group, h % group};
  return {h % problem.num_kv_heads, h / problem.num_kv_heads};
}

Array sum_of_group(const Array& shares, const Problem& problem,
                   HeadSlot (*slot_of)(const Problem&, int64_t h)) {
  const int64_t group = problem.num_heads / problem.num_kv_heads;
  const int64_t plane = shares.size(2) * shares.size(3);
  Array buffers({problem.batch, problem.num_kv_heads, group, plane});
  Array total({problem.batch, problem.num_kv_heads, shares.size(2), shares.size(3)});
  for (int64_t b = 0; b < problem.batch; ++b)
    for (int64_t h = 0; h < problem.num_heads; ++h) {
      const HeadSlot at = slot_of(problem, h);
      if (at.key >= problem.num_kv_heads || at.slot >= group) continue;
      std::copy_n(
          shares.values.begin() + (b * problem.num_heads + h) * plane, plane,
          buffers.values.begin() + ((b * problem.num_kv_heads + at.key) * group + at.slot) * plane);
    }
  for (int64_t head = 0; head < problem.batch * problem.num_kv_heads; ++head)
    for (int64_t slot = 0; slot < group; ++slot)
      for (int64_t k = 0; k < plane; ++k)
        total.values[static_cast<size_t>(head * plane + k)] +=
            buffers.values[static_cast<size_t>((head * group + slot) * plane + k)];
  return total;
}

StepOutput gradients_output(const Problem& problem, const Array& out, const Array& dq,
                            const Array& dk, const Array& dv) {
  StepOutput step;
  step.out = to_output(out, problem.layout);
  const std::pair<Output, const Array*> all[] = {
      {Output::dq, &dq}, {Output::dk, &dk}, {Output::dv, &dv}};
  for (const auto& [output, gradient] : all)
    if (problem.asks(output)) step.more[output] = to_output(*gradient, problem.layout);
  return step;
}

}  // namespace attnfuzz
