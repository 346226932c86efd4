#include <cmath>
#include <memory>
#include <vector>

#include "targets/cpu/cpu.h"
#include "targets/cpu/cpu_target.h"
#include "targets/cpu/key_range.h"
#include "targets/cpu/online_row.h"

namespace attnfuzz {
namespace {

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 1], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 2048],
            "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256]},
  "features": ["dtype:f32", "dtype:f64", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross",
    "longer_q", "head_dim_v", "scale", "softcap", "rope:half", "rope:interleaved", "rope_part:first",
    "rope_part:last", "rope_scaling:linear", "rope_scaling:ntk", "rope_scaling:dynamic_ntk",
    "rope_scaling:yarn", "rope_scaling:llama3", "rope_magnitude", "rope_positions", "sinks",
    "rule:packed", "rule:causal", "rule:window", "rule:alibi",
    "align:top_left", "align:bottom_right", "bias_order:after_softcap", "bias_order:before_softcap",
    "fully_masked:zero", "fully_masked:nan", "fully_masked:any", "empty", "data:normal",
    "data:large", "data:constant", "data:one_hot", "data:huge", "data:far_below",
    "data:cancelling", "nonfinite:nan_hidden", "nonfinite:inf_hidden", "lse"],
  "tiles": {"q_len": [32], "kv_len": [32]},
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}}
})";

/// Where the sequences begin, and where the last one ends.
std::vector<int64_t> ends_of(const RuleUse* packed, std::string_view lens, int64_t whole) {
  if (packed == nullptr) return {0, whole};
  std::vector<int64_t> ends{0};
  for (const int64_t len : packed->list(lens)) ends.push_back(ends.back() + len);
  return ends;
}

/// Tokens of all sequences on one axis: [tokens, heads, dim], or heads first.
template <class T>
class Kernel {
 public:
  Kernel(const Problem& p, const Inputs& inputs, StepOutput& step)
      : p_(p),
        cu_seqlens_q_(ends_of(p.mask.find("packed"), "q_lens", p.q_len)),
        cu_seqlens_k_(ends_of(p.mask.find("packed"), "kv_lens", p.kv_len)),
        causal_(p.mask.find("causal") != nullptr),
        window_(p.mask.find("window")),
        alibi_(p.mask.find("alibi") != nullptr),
        q_(view_in<T>(p.layout, inputs.at("q"))),
        k_(view_in<T>(p.layout, inputs.at("k"))),
        v_(view_in<T>(p.layout, inputs.at("v"))),
        out_(view_in(p.layout, step.out.shape, step.out.as<T>())),
        sinks_(optional_data<T>(inputs, "sinks")),
        lse_(p.asks(Output::lse) ? step.more.at(Output::lse).as<T>() : nullptr) {}

  void run() {
    for (size_t n = 0; n + 1 < cu_seqlens_q_.size(); ++n)
      for (int64_t h = 0; h < p_.num_heads; ++h)
        for (int64_t i = cu_seqlens_q_[n]; i < cu_seqlens_q_[n + 1]; ++i) attend(n, h, i);
  }

 private:
  /// The keys that query i of sequence n sees; its place is counted from the sequence's first key.
  KeyRange keys_of(size_t n, int64_t place) const {
    const int64_t begin = cu_seqlens_k_[n], len = cu_seqlens_k_[n + 1] - begin;
    KeyRange seen{0, len};
    if (causal_) seen = seen.within({0, place + 1});
    if (window_ != nullptr)
      seen = seen.within({place - std::min(window_->integer("left"), len + std::abs(place)),
                          place + 1 + std::min(window_->integer("right"), len + std::abs(place))});
    return {begin + seen.begin, begin + std::max(seen.begin, seen.end)};
  }

  void attend(size_t n, int64_t h, int64_t i) {
    const int64_t g = p_.kv_head(h), begin = cu_seqlens_k_[n];
    const int64_t q_len = cu_seqlens_q_[n + 1] - cu_seqlens_q_[n],
                  kv_len = cu_seqlens_k_[n + 1] - begin;
    const int64_t offset = p_.mask.align == Align::bottom_right ? kv_len - q_len : 0;
    const int64_t place = i - cu_seqlens_q_[n] + offset;
    const double slope =
        alibi_ ? std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(p_.num_heads))
               : 0;
    OnlineRow<T> softmax(p_, sinks_ == nullptr ? nullptr : sinks_ + h, out_.at(0, h, i));
    const KeyRange seen = keys_of(n, place);
    for (int64_t j = seen.begin; j < seen.end; ++j) {
      const auto bias = static_cast<T>(-slope * static_cast<double>(std::abs(place - (j - begin))));
      softmax.add(score_of(p_, q_.at(0, h, i), k_.at(0, g, j), bias), v_.at(0, g, j));
    }
    softmax.finish(lse_ == nullptr ? nullptr : lse_ + h * p_.q_len + i);
  }

  const Problem& p_;
  std::vector<int64_t> cu_seqlens_q_, cu_seqlens_k_;
  bool causal_;
  const RuleUse* window_;
  bool alibi_;
  View<const T> q_, k_, v_;
  View<T> out_;
  const T* sinks_;
  T* lse_;
};

class Varlen : public CpuTarget {
 public:
  Varlen()
      : CpuTarget("cpu:varlen", "sequences of different lengths on one axis, by cu_seqlens",
                  capabilities) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    StepOutput& step = outcome.steps.emplace_back(empty_output(c.problem));
    if (c.problem.dtype == DType::f64)
      Kernel<double>(c.problem, inputs, step).run();
    else
      Kernel<float>(c.problem, inputs, step).run();
    return outcome;
  }
};

}  // namespace

std::unique_ptr<Target> open_cpu_varlen() {
  return std::make_unique<Varlen>();
}

}  // namespace attnfuzz
