#include "targets/strided.h"

#include <memory>
#include <vector>

#include "targets/cpu/cpu.h"
#include "targets/cpu/cpu_target.h"
#include "targets/cpu/online_row.h"

namespace attnfuzz {
namespace {

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 512],
            "kv_len": [0, 512], "head_dim": [1, 256], "head_dim_v": [1, 256]},
  "features": ["dtype:f32", "dtype:f64", "layout:bhsd", "layout:bshd", "strides:gaps",
    "strides:transposed", "strides:fused", "strides:shared", "gqa", "mqa", "cross", "longer_q",
    "head_dim_v", "scale", "rule:causal", "align:top_left", "align:bottom_right",
    "fully_masked:zero", "fully_masked:nan", "fully_masked:any", "empty", "data:normal",
    "data:large", "data:constant", "data:one_hot", "data:huge"],
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}}
})";

/// A tensor in memory of its own, with any strides.
template <class T>
class Operand {
 public:
  Operand(const Problem& p, std::string_view input, const Inputs& inputs)
      : shape_(strided_shape(p, input)), memory_(lay_out(p, input, inputs)) {}

  void copy(int64_t b, int64_t h, int64_t s, std::vector<T>& to) const {
    const T* data = reinterpret_cast<const T*>(memory_.data());
    to.resize(static_cast<size_t>(shape_.sizes[3]));
    for (int64_t d = 0; d < shape_.sizes[3]; ++d)
      to[static_cast<size_t>(d)] = data[shape_.at(b, h, s, d)];
  }

 private:
  StridedShape shape_;
  std::vector<std::byte> memory_;
};

template <class T>
void attend(const Problem& p, const Inputs& inputs, StepOutput& step) {
  const Operand<T> q(p, "q", inputs), k(p, "k", inputs), v(p, "v", inputs);
  const View<T> out = view_in(p.layout, step.out.shape, step.out.as<T>());
  const bool causal = p.mask.find("causal") != nullptr;
  std::vector<T> query, key, value;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i) {
        q.copy(b, h, i, query);
        OnlineRow<T> softmax(p, nullptr, out.at(b, h, i));
        const int64_t end = causal ? std::min(p.kv_len, query_position(p, i) + 1) : p.kv_len;
        for (int64_t j = 0; j < end; ++j) {
          k.copy(b, p.kv_head(h), j, key);
          v.copy(b, p.kv_head(h), j, value);
          softmax.add(score_of(p, query.data(), key.data(), T{0}), value.data());
        }
        softmax.finish(nullptr);
      }
}

class StridedTarget : public CpuTarget {
 public:
  StridedTarget() : CpuTarget("cpu:strided", "reads q, k and v by their strides", capabilities) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    StepOutput& step = outcome.steps.emplace_back(empty_output(c.problem));
    if (c.problem.dtype == DType::f64)
      attend<double>(c.problem, inputs, step);
    else
      attend<float>(c.problem, inputs, step);
    return outcome;
  }
};

}  // namespace

std::unique_ptr<Target> open_cpu_strided() {
  return std::make_unique<StridedTarget>();
}

}  // namespace attnfuzz
