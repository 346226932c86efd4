#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "targets/cpu/cpu.h"
#include "targets/cpu/cpu_target.h"

namespace attnfuzz {
namespace {

// A weight is multiplied by a power of two before it is rounded, as FlashAttention-3 does: it is at
// most 1, and the type's numbers near 1 would leave its range unused.
constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [0, 8], "num_heads": [1, 16], "num_kv_heads": [1, 16], "q_len": [0, 512],
            "kv_len": [0, 512], "head_dim": [1, 256], "head_dim_v": [1, 256], "memory_kv": [0, 32]},
  "tiles": {"kv_len": [32]},
  "features": ["dtype:e4m3", "dtype:e5m2", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross",
    "longer_q", "head_dim_v", "scale", "softcap", "sinks", "memory_kv", "rule:causal",
    "rule:window", "rule:chunk", "chunk.origin:slot", "chunk.origin:token", "rule:prefix",
    "rule:documents", "rule:padding", "padding.side:left", "padding.side:right", "rule:boolean",
    "boolean.shape:qk", "boolean.shape:bqk", "boolean.shape:hqk", "boolean.shape:bhqk", "rule:bias",
    "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk", "bias.shape:bhqk", "rule:alibi",
    "align:top_left", "align:bottom_right", "head_map:grouped", "head_map:interleaved",
    "bias_order:after_softcap", "bias_order:before_softcap", "fully_masked:zero", "empty",
    "data:normal", "data:large", "data:constant", "data:one_hot", "data:tiny", "data:huge",
    "nonfinite:nan_padding", "nonfinite:inf_padding", "nonfinite:inf_bias"],
  "properties": ["deterministic", "batch_invariant"],
  "precision": {"e4m3": {"accumulate": "f32", "p": "e4m3", "exp_ulps": 2},
                "e5m2": {"accumulate": "f32", "p": "e5m2", "exp_ulps": 2}}
})";

constexpr size_t tile = 32;
constexpr float none = -std::numeric_limits<float>::infinity();

/// A tensor widened to float.
struct Widened {
  std::vector<float> values;
  int64_t batch = 0, head = 0, token = 0;

  Widened() = default;
  Widened(const Inputs& inputs, std::string_view name, Layout layout) {
    const Tensor* tensor = inputs.find(name);
    if (tensor == nullptr) return;
    const std::vector<double> wide = tensor->to_doubles();
    values.assign(wide.begin(), wide.end());
    if (tensor->shape.size() != 4) return;
    const View<float> strides = view_in(layout, tensor->shape, values.data());
    batch = strides.batch;
    head = strides.head;
    token = strides.token;
  }
  bool is_there() const { return !values.empty(); }
  const float* at(int64_t b, int64_t h, int64_t s) const {
    return values.data() + b * batch + h * head + s * token;
  }
};

/// A key that a query sees.
struct Seen {
  const float *k, *v;
  float bias;
};

class Fp8 : public CpuTarget {
 public:
  Fp8() : CpuTarget("cpu:fp8", "8-bit inputs and weights, sums in f32", capabilities) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override;
};

/// What a case's rows share.
struct Work {
  const Problem& p;
  Widened q, k, v, mask, bias, sinks, mem_k, mem_v;

  Work(const Problem& problem, const Inputs& inputs)
      : p(problem),
        q(inputs, "q", p.layout),
        k(inputs, "k", p.layout),
        v(inputs, "v", p.layout),
        mask(inputs, "mask", Layout::bhsd),
        bias(inputs, "bias", Layout::bhsd),
        sinks(inputs, "sinks", p.layout),
        mem_k(inputs, "mem_k", p.layout),
        mem_v(inputs, "mem_v", p.layout) {}

  std::vector<Seen> seen(int64_t b, int64_t h, int64_t i) const {
    std::vector<Seen> keys;
    const int64_t g = p.kv_head(h);
    for (int64_t j = 0; j < p.memory_kv; ++j) {
      const int64_t at = g * p.memory_kv + j;
      keys.push_back(
          {mem_k.values.data() + at * p.head_dim, mem_v.values.data() + at * p.head_dim_v, 0});
    }
    for (int64_t j = 0; j < p.kv_len; ++j) {
      const float added = bias.is_there() ? bias.at(b, h, i)[j] : 0;
      if ((!mask.is_there() || mask.at(b, h, i)[j] != 0) && added != none)
        keys.push_back({k.at(b, g, j), v.at(b, g, j), added});
    }
    return keys;
  }

  float score(const float* query, const Seen& key, bool memory) const {
    float s = 0;
    for (int64_t d = 0; d < p.head_dim; ++d) s += query[d] * key.k[d];
    s *= static_cast<float>(p.scale_value());
    const auto cap = static_cast<float>(p.softcap);
    const float added = memory ? 0 : key.bias;
    if (p.bias_order == BiasOrder::before_softcap) s += added;
    if (cap > 0) s = cap * std::tanh(s / cap);
    return p.bias_order == BiasOrder::after_softcap ? s + added : s;
  }

  /// The online softmax, a tile of keys at a time.
  void row(int64_t b, int64_t h, int64_t i, double* out) const {
    const float* query = q.at(b, h, i);
    const std::vector<Seen> keys = seen(b, h, i);
    const float sink = sinks.is_there() ? sinks.values[static_cast<size_t>(h)] : none;
    const float shift = p.dtype == DType::e4m3 ? 0x1p8F : 0x1p15F;
    std::vector<float> sums(static_cast<size_t>(p.head_dim_v)), p_tile;
    float max = none, sum = 0;
    for (size_t first = 0; first < keys.size(); first += tile) {
      const size_t count = std::min(tile, keys.size() - first);
      p_tile.clear();
      float new_max = max;
      for (size_t n = first; n < first + count; ++n) {
        p_tile.push_back(score(query, keys[n], static_cast<int64_t>(n) < p.memory_kv));
        new_max = std::max(new_max, p_tile.back());
      }
      const float kept = std::exp(max - new_max);
      sum *= kept;
      for (float& value : sums) value *= kept;
      for (size_t n = 0; n < count; ++n) {
        const float weight = std::exp(p_tile[n] - new_max);
        sum += weight;
        const float rounded =
            static_cast<float>(round_to(p.dtype, static_cast<double>(shift * weight))) / shift;
        for (size_t d = 0; d < sums.size(); ++d) sums[d] += rounded * keys[first + n].v[d];
      }
      max = new_max;
    }
    const float top = std::max(max, sink);
    if (top == none) return;  // no key: zeros
    const float kept = std::exp(max - top);
    sum = kept * sum + std::exp(sink - top);
    for (size_t d = 0; d < sums.size(); ++d) out[d] = static_cast<double>(kept * sums[d] / sum);
  }
};

Outcome Fp8::compute(const Case& c, const Inputs& inputs) {
  const Problem& p = c.problem;
  const Work work(p, inputs);
  Outcome outcome;
  outcome.steps.push_back(empty_output(p));
  Tensor& out = outcome.steps.back().out;
  std::vector<double> values(static_cast<size_t>(out.size()));
  const View<double> at = view_in(p.layout, out.shape, values.data());
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i) work.row(b, h, i, at.at(b, h, i));
  out = Tensor::from_doubles(out.dtype, out.shape, values);
  return outcome;
}

}  // namespace

std::unique_ptr<Target> open_cpu_fp8() {
  return std::make_unique<Fp8>();
}

}  // namespace attnfuzz
