#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "targets/cpu/cpu.h"
#include "targets/cpu/cpu_target.h"
#include "targets/cpu/naive_backward.h"

namespace attnfuzz {
namespace {

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [0, 64], "num_heads": [1, 64], "num_kv_heads": [1, 64], "q_len": [0, 4096],
            "kv_len": [0, 4096], "head_dim": [1, 512], "head_dim_v": [1, 512], "memory_kv": [0, 64]},
  "features": ["dtype:f32", "dtype:f64", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross",
    "longer_q", "head_dim_v", "scale", "softcap", "rope:half", "rope:interleaved", "sinks", "memory_kv", "rule:causal",
    "rule:window", "rule:chunk", "chunk.origin:slot", "chunk.origin:token", "rule:prefix",
    "rule:documents", "rule:padding", "padding.side:left", "padding.side:right", "rule:boolean",
    "boolean.shape:qk", "boolean.shape:bqk", "boolean.shape:hqk", "boolean.shape:bhqk", "rule:bias",
    "bias.shape:qk", "bias.shape:bqk", "bias.shape:hqk", "bias.shape:bhqk", "rule:alibi",
    "align:top_left", "align:bottom_right", "head_map:grouped", "head_map:interleaved",
    "bias_order:after_softcap", "bias_order:before_softcap", "fully_masked:zero",
    "fully_masked:nan", "fully_masked:uniform", "fully_masked:any", "empty", "data:normal",
    "data:large", "data:constant", "data:one_hot", "data:tiny", "data:huge", "nonfinite:nan_padding",
    "nonfinite:inf_padding", "nonfinite:inf_value", "nonfinite:inf_bias", "dropout", "lse", "dq", "dk", "dv", "dbias",
    "dsinks", "dmem_k", "dmem_v"],
  "properties": ["deterministic", "batch_invariant"],
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}}
})";

/// The score, and its slope in the scaled product.
template <class T>
void set_score(const Problem& p, T product, Seen<T>& key) {
  T s = static_cast<T>(p.scale_value()) * product;
  const auto cap = static_cast<T>(p.softcap);
  if (p.bias_order == BiasOrder::before_softcap) s += key.bias;
  if (cap > 0) {
    const T t = std::tanh(s / cap);
    s = cap * t;
    key.slope = 1 - t * t;
  }
  if (p.bias_order == BiasOrder::after_softcap) s += key.bias;
  key.score = s;
}

/// out = Σ exp(s − max) v / (Σ exp(s − max) + exp(sink − max)); all of `out` is written.
template <class T>
Softmax<T> softmax_row(const Problem& p, const T* q, std::vector<Seen<T>>& seen, const T* sink,
                       T* out) {
  T max = sink ? *sink : -std::numeric_limits<T>::infinity();
  for (Seen<T>& key : seen) {
    set_score(p, dot(q, key.k, p.head_dim), key);
    max = std::max(max, key.score);
  }
  T sum = sink ? std::exp(*sink - max) : 0;
  std::fill_n(out, p.head_dim_v, T{0});
  for (const Seen<T>& key : seen) {
    const T weight = std::exp(key.score - max);
    sum += weight;
    for (int64_t d = 0; d < p.head_dim_v; ++d) out[d] += weight * key.kept * key.v[d];
  }
  for (int64_t d = 0; d < p.head_dim_v; ++d) out[d] /= sum;
  return {max, sum};
}

/// `kept`: dropout's factor of key j.
template <class T, class Kept>
void fully_masked_row(const Problem& p, const View<const T>& v, int64_t b, int64_t h, Kept kept,
                      T* out) {
  std::fill_n(out, p.head_dim_v,
              p.fully_masked == FullyMasked::nan ? std::numeric_limits<T>::quiet_NaN() : T{0});
  if (p.fully_masked != FullyMasked::uniform) return;
  for (int64_t j = 0; j < p.kv_len; ++j)
    for (int64_t d = 0; d < p.head_dim_v; ++d) out[d] += kept(j) * v.at(b, h, j)[d];
  for (int64_t d = 0; d < p.head_dim_v; ++d) out[d] /= static_cast<T>(p.kv_len);
}

template <class T>
StepOutput attend(const Case& c, const Inputs& inputs) {
  const Problem& p = c.problem;
  const auto q = view_in<T>(p.layout, inputs.at("q")), k = view_in<T>(p.layout, inputs.at("k")),
             v = view_in<T>(p.layout, inputs.at("v"));
  const T* mask = optional_data<T>(inputs, "mask");
  const T* bias = optional_data<T>(inputs, "bias");
  const T* sinks = optional_data<T>(inputs, "sinks");
  const T* mem_k = optional_data<T>(inputs, "mem_k");
  const T* mem_v = optional_data<T>(inputs, "mem_v");
  const T* dropout = optional_data<T>(inputs, "dropout");
  constexpr T hiding = -std::numeric_limits<T>::infinity();
  const T rescale = 100 / static_cast<T>(p.dropout_keep);

  StepOutput step = empty_output(p);
  const auto out = view_in(p.layout, step.out.shape, step.out.as<T>());
  T* lse = p.asks(Output::lse) ? step.more.at(Output::lse).as<T>() : nullptr;
  std::optional<NaiveBackward<T>> backward;
  if (p.asks_gradients()) backward.emplace(p, inputs);
  std::vector<Seen<T>> seen;
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t h = 0; h < p.num_heads; ++h) {
      const int64_t g = p.kv_head(h);
      for (int64_t i = 0; i < p.q_len; ++i) {
        const int64_t query = (b * p.num_heads + h) * p.q_len + i;
        const int64_t row = query * p.kv_len, drop_row = query * (p.memory_kv + p.kv_len);
        const auto kept = [&](int64_t j) {
          return dropout ? dropout[drop_row + j] * rescale : T{1};
        };
        seen.clear();
        for (int64_t j = 0; j < p.memory_kv; ++j)
          seen.push_back({j, mem_k + (g * p.memory_kv + j) * p.head_dim,
                          mem_v + (g * p.memory_kv + j) * p.head_dim_v, T{0}, kept(j)});
        for (int64_t j = 0; j < p.kv_len; ++j)
          if ((!mask || mask[row + j] != 0) && (!bias || bias[row + j] != hiding))
            seen.push_back({p.memory_kv + j, k.at(b, g, j), v.at(b, g, j),
                            bias ? bias[row + j] : T{0}, kept(p.memory_kv + j)});
        if (seen.empty() && !sinks) {
          fully_masked_row(p, v, b, g, kept, out.at(b, h, i));
          continue;
        }
        const Softmax<T> softmax =
            softmax_row(p, q.at(b, h, i), seen, sinks ? sinks + h : nullptr, out.at(b, h, i));
        if (lse) lse[query] = softmax.max + std::log(softmax.sum);
        if (backward) backward->add(b, h, i, seen, softmax);
      }
    }
  }
  if (backward) backward->finish(step);
  return step;
}

class Naive : public CpuTarget {
 public:
  Naive() : CpuTarget("cpu:naive", "plain loops over whole rows", capabilities) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    const bool wide = c.problem.dtype == DType::f64;
    Outcome outcome;
    outcome.steps.push_back(wide ? attend<double>(c, inputs) : attend<float>(c, inputs));
    return outcome;
  }
};

}  // namespace

std::unique_ptr<Target> open_cpu_naive() {
  return std::make_unique<Naive>();
}

}  // namespace attnfuzz
