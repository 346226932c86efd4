#include <memory>
#include <vector>

#include "oracle/masks/indices.h"
#include "targets/cpu/cpu.h"
#include "targets/cpu/cpu_target.h"
#include "targets/cpu/online_row.h"

namespace attnfuzz {
namespace {

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32], "q_len": [0, 2048],
            "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256]},
  "features": ["dtype:f32", "dtype:f64", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross",
    "longer_q", "head_dim_v", "scale", "softcap", "rope:half", "rope:interleaved", "rope_part:first",
    "rope_part:last", "rope_scaling:linear", "rope_scaling:ntk", "rope_scaling:dynamic_ntk",
    "rope_scaling:yarn", "rope_scaling:llama3", "rope_magnitude", "rope_positions", "sinks",
    "rule:causal", "rule:window", "rule:padding", "padding.side:left", "padding.side:right", "rule:block_sparse",
    "block_sparse.shape:qk", "block_sparse.shape:bqk", "block_sparse.shape:hqk",
    "block_sparse.shape:bhqk", "rule:dilated", "rule:indices", "indices.shape:qk",
    "indices.shape:bqk", "indices.shape:hqk", "indices.shape:bhqk", "rule:spans", "rule:tree", "rule:relative_bias",
    "relative_bias.direction:both", "relative_bias.direction:past", "relative_bias.spacing:linear",
    "relative_bias.spacing:log", "align:top_left", "align:bottom_right",
    "bias_order:after_softcap", "bias_order:before_softcap", "fully_masked:zero",
    "fully_masked:nan", "fully_masked:any", "empty", "data:normal", "data:large", "data:constant",
    "data:one_hot", "data:huge", "data:far_below", "data:cancelling", "nonfinite:nan_padding",
    "nonfinite:inf_padding", "nonfinite:nan_hidden", "nonfinite:inf_hidden", "lse"],
  "tiles": {"q_len": [32], "kv_len": [32]},
  "properties": ["deterministic", "batch_invariant"],
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2},
                "f64": {"accumulate": "f64", "p": "f64", "exp_ulps": 2}}
})";

/// A block of keys that some query of a block of queries sees.
struct KeyBlock {
  int64_t begin, end;
  bool whole;  ///< each query of the block sees all of it
};

struct BlockSizes {
  int64_t queries = 32, keys = 32;

  explicit BlockSizes(const Problem& p) {
    const RuleUse* use = p.mask.find("block_sparse");
    if (use == nullptr) return;
    queries = use->integer("q_block");
    keys = use->integer("kv_block");
  }
};

/// The mask of one head: [q_len, kv_len]; null without.
template <class T>
using HeadMask = const T*;

/// The blocks of keys that are to be read for the queries [first, last), and which of them need no
/// mask.
template <class T>
std::vector<KeyBlock> blocks_of(const Problem& p, HeadMask<T> mask, int64_t first, int64_t last,
                                int64_t size) {
  std::vector<KeyBlock> blocks;
  for (int64_t begin = 0; begin < p.kv_len;) {
    const int64_t end = size >= p.kv_len - begin ? p.kv_len : begin + size;
    int64_t seen = 0;
    for (int64_t i = first; mask != nullptr && i < last; ++i)
      for (int64_t j = begin; j < end; ++j) seen += mask[i * p.kv_len + j] != 0 ? 1 : 0;
    const bool whole = mask == nullptr || seen == (last - first) * (end - begin);
    if (whole || seen > 0) blocks.push_back({begin, end, whole});
    begin = end;
  }
  return blocks;
}

template <class T>
class Kernel {
 public:
  Kernel(const Problem& p, const Data& data, const Inputs& inputs, StepOutput& step)
      : p_(p),
        data_(data),
        indices_(p.mask.find("indices")),
        q_(view_in<T>(p.layout, inputs.at("q"))),
        k_(view_in<T>(p.layout, inputs.at("k"))),
        v_(view_in<T>(p.layout, inputs.at("v"))),
        out_(view_in(p.layout, step.out.shape, step.out.as<T>())),
        mask_(optional_data<T>(inputs, "mask")),
        bias_(optional_data<T>(inputs, "bias")),
        sinks_(optional_data<T>(inputs, "sinks")),
        lse_(p.asks(Output::lse) ? step.more.at(Output::lse).as<T>() : nullptr) {}

  void run() {
    const BlockSizes size(p_);
    for (int64_t b = 0; b < p_.batch; ++b)
      for (int64_t h = 0; h < p_.num_heads; ++h)
        for (int64_t first = 0; first < p_.q_len;) {
          const int64_t last = size.queries >= p_.q_len - first ? p_.q_len : first + size.queries;
          const HeadMask<T> mask = mask_ == nullptr ? nullptr : mask_ + row(b, h, 0) * p_.kv_len;
          const std::vector<KeyBlock> blocks = blocks_of<T>(p_, mask, first, last, size.keys);
          for (int64_t i = first; i < last; ++i)
            if (indices_ == nullptr)
              attend(b, h, i, blocks);
            else
              attend_selected(b, h, i);
          first = last;
        }
  }

 private:
  int64_t row(int64_t b, int64_t h, int64_t i) const {
    return (b * p_.num_heads + h) * p_.q_len + i;
  }

  void add(OnlineRow<T>& softmax, int64_t b, int64_t h, int64_t i, int64_t j) const {
    const int64_t g = p_.kv_head(h);
    const T bias = bias_ == nullptr ? T{0} : bias_[row(b, h, i) * p_.kv_len + j];
    softmax.add(score_of(p_, q_.at(b, h, i), k_.at(b, g, j), bias), v_.at(b, g, j));
  }

  /// Only the keys of the query's list are looked at.
  void attend_selected(int64_t b, int64_t h, int64_t i) {
    const int64_t at = row(b, h, i) * p_.kv_len;
    OnlineRow<T> softmax(p_, sinks_ == nullptr ? nullptr : sinks_ + h, out_.at(b, h, i));
    for (const int64_t j : selected_keys(*indices_, {p_, data_, b, h, i, i, {}, 0, 0}))
      if (j >= 0 && mask_[at + j] != 0) add(softmax, b, h, i, j);
    softmax.finish(lse_ == nullptr ? nullptr : lse_ + row(b, h, i));
  }

  void attend(int64_t b, int64_t h, int64_t i, const std::vector<KeyBlock>& blocks) {
    const int64_t at = row(b, h, i) * p_.kv_len;
    OnlineRow<T> softmax(p_, sinks_ == nullptr ? nullptr : sinks_ + h, out_.at(b, h, i));
    for (const KeyBlock& block : blocks)
      for (int64_t j = block.begin; j < block.end; ++j)
        if (block.whole || mask_[at + j] != 0) add(softmax, b, h, i, j);
    softmax.finish(lse_ == nullptr ? nullptr : lse_ + row(b, h, i));
  }

  const Problem& p_;
  const Data& data_;
  const RuleUse* indices_;
  View<const T> q_, k_, v_;
  View<T> out_;
  const T *mask_, *bias_, *sinks_;
  T* lse_;
};

class Sparse : public CpuTarget {
 public:
  Sparse()
      : CpuTarget("cpu:sparse", "reads the blocks of keys that the mask lists", capabilities) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    StepOutput& step = outcome.steps.emplace_back(empty_output(c.problem));
    if (c.problem.dtype == DType::f64)
      Kernel<double>(c.problem, c.data, inputs, step).run();
    else
      Kernel<float>(c.problem, c.data, inputs, step).run();
    return outcome;
  }
};

}  // namespace

std::unique_ptr<Target> open_cpu_sparse() {
  return std::make_unique<Sparse>();
}

}  // namespace attnfuzz
