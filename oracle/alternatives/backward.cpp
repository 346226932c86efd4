// Dropout, the log-sum-exp and the gradients.
#include <algorithm>

#include "oracle/alternatives/rewrite.h"
#include "oracle/misreading.h"

namespace attnfuzz::alternative {
namespace {

template <Slip slip>
constexpr Misreading misread{.slip = slip};

template <Slip slip>
Rewritten with_slip(Case c, bool applies) {
  if (!applies) return {};
  c.problem.misreading = &misread<slip>;
  return c;
}

bool asks_of_keys(const Case& c) {
  const Problem& p = c.problem;
  return p.asks(Output::dk) || p.asks(Output::dv) || p.asks(Output::dmem_k) ||
         p.asks(Output::dmem_v);
}

bool asks_of_memory(const Case& c) {
  return c.problem.asks(Output::dmem_k) || c.problem.asks(Output::dmem_v);
}

bool is_positional(const Case& c) {
  const auto& rules = c.problem.mask.rules;
  return std::any_of(rules.begin(), rules.end(), [](auto& use) { return use.spec->positional; });
}

bool is_grouped(const Case& c) {
  return c.problem.num_kv_heads < c.problem.num_heads;
}

/// One line: a slip, and what a case must have for it to be one.
#define ATTNFUZZ_SLIP(name, words, slip, applies)                                  \
  {                                                                                \
    name, words, [](const Case& c) { return with_slip<Slip::slip>(c, (applies)); } \
  }

constexpr Alternative table[] = {
    {"dropout-ignored", "no weights are dropped",
     [](const Case& c) { return with(c, &Problem::dropout_keep, int64_t{100}); }},
    ATTNFUZZ_SLIP("dropout-not-rescaled", "kept weights are not divided by the keep probability",
                  dropout_not_rescaled, c.problem.has_dropout()),
    ATTNFUZZ_SLIP("lse-base-2", "the log-sum-exp is a logarithm to base 2", lse_base_2,
                  c.problem.asks(Output::lse)),
    ATTNFUZZ_SLIP("lse-without-max", "the log-sum-exp lacks the maximum that was subtracted",
                  lse_shifted, c.problem.asks(Output::lse)),
    ATTNFUZZ_SLIP("lse-without-sink", "the log-sum-exp lacks the sink", lse_without_sink,
                  c.problem.asks(Output::lse) && c.problem.sinks),
    ATTNFUZZ_SLIP("grad-without-row-dot",
                  "the softmax's gradient is P ∘ dP, without taking Σ P dP from dP", no_row_dot,
                  c.problem.asks_gradients()),
    ATTNFUZZ_SLIP("grad-row-dot-not-dropped", "Σ P dP in the backward pass is taken before dropout",
                  row_dot_not_dropped, c.problem.asks_gradients() && c.problem.has_dropout()),
    ATTNFUZZ_SLIP("dq-not-scaled", "dq lacks the scale", dq_not_scaled, c.problem.asks(Output::dq)),
    ATTNFUZZ_SLIP("dk-not-scaled", "dk lacks the scale", dk_not_scaled, asks_of_keys(c)),
    ATTNFUZZ_SLIP("dq-scaled-twice", "dq has the scale twice", dq_scaled_twice,
                  c.problem.asks(Output::dq)),
    ATTNFUZZ_SLIP("dk-scaled-twice", "dk has the scale twice", dk_scaled_twice, asks_of_keys(c)),
    ATTNFUZZ_SLIP("grad-first-head-of-group",
                  "a key head's gradients come from the first of its query heads alone",
                  first_head_of_group, asks_of_keys(c) && is_grouped(c)),
    ATTNFUZZ_SLIP("grad-last-head-of-group",
                  "a key head's gradients come from the last of its query heads alone",
                  last_head_of_group, asks_of_keys(c) && is_grouped(c)),
    ATTNFUZZ_SLIP("grad-head-map",
                  "dk and dv of a query head go to the key head of the other head map",
                  other_head_map, asks_of_keys(c) && is_grouped(c) && c.problem.num_kv_heads > 1),
    ATTNFUZZ_SLIP("grad-head-by-share",
                  "dk and dv of query head h go to key head h mod the share, (num_heads / "
                  "num_kv_heads)",
                  head_by_share, asks_of_keys(c) && c.problem.num_heads > 1),
    ATTNFUZZ_SLIP("grad-not-masked", "the backward pass gives hidden keys weight",
                  backward_not_masked, c.problem.asks_gradients() && !c.problem.mask.rules.empty()),
    ATTNFUZZ_SLIP("grad-not-dropped", "the backward pass has no dropout", backward_not_dropped,
                  c.problem.asks_gradients() && c.problem.has_dropout()),
    ATTNFUZZ_SLIP("grad-without-sink", "the backward pass normalises the weights without the sink",
                  backward_without_sink, c.problem.asks_gradients() && c.problem.sinks),
    ATTNFUZZ_SLIP("grad-without-softcap-slope",
                  "the backward pass takes the softcap for the identity", no_softcap_slope,
                  c.problem.asks_gradients() && c.problem.softcap > 0),
    ATTNFUZZ_SLIP("grad-softcap-slope-not-divided",
                  "the softcap's slope is made from the score, not from the score / cap",
                  slope_not_divided, c.problem.asks_gradients() && c.problem.softcap > 0),
    ATTNFUZZ_SLIP("grad-not-normalised", "the backward pass does not divide P by its sum",
                  backward_not_normalised, c.problem.asks_gradients()),
    ATTNFUZZ_SLIP("grad-base-2", "the backward pass makes P by powers of 2 without log2(e)",
                  backward_base_2, c.problem.asks_gradients()),
    ATTNFUZZ_SLIP("grad-mask-top-left",
                  "the backward pass masks as if query 0 stood at key 0, unlike the forward pass",
                  backward_top_left,
                  c.problem.asks_gradients() && c.problem.mask.align == Align::bottom_right),
    ATTNFUZZ_SLIP("grad-mask-one-more",
                  "queries stand one position farther on in the backward pass alone",
                  backward_one_more, c.problem.asks_gradients() && is_positional(c)),
    ATTNFUZZ_SLIP("grad-of-dropped", "the softmax's gradient is made of the weights after dropout",
                  dropped_in_softmax, c.problem.asks_gradients() && c.problem.has_dropout()),
    ATTNFUZZ_SLIP("dq-of-head-dim", "dq is made from the first head_dim elements of v and grad_out",
                  dq_of_head_dim,
                  c.problem.asks(Output::dq) && c.problem.head_dim < c.problem.head_dim_v),
    ATTNFUZZ_SLIP("dv-not-dropped", "dv is made from the weights without dropout", dv_not_dropped,
                  c.problem.asks(Output::dv) && c.problem.has_dropout()),
    ATTNFUZZ_SLIP("dsinks-negated", "the sinks' gradient has the wrong sign", dsinks_negated,
                  c.problem.asks(Output::dsinks)),
    ATTNFUZZ_SLIP("dbias-scaled", "the bias's gradient is multiplied by the scale", dbias_scaled,
                  c.problem.asks(Output::dbias)),
    ATTNFUZZ_SLIP("dbias-other-side",
                  "the bias's gradient is taken on the other side of the softcap",
                  dbias_other_order, c.problem.asks(Output::dbias) && c.problem.softcap > 0),
    ATTNFUZZ_SLIP("dmem-last-row", "the memory's gradients come from the last batch row alone",
                  memory_last_row, asks_of_memory(c) && c.problem.batch > 1),
};

#undef ATTNFUZZ_SLIP

}  // namespace

std::span<const Alternative> backward() {
  return table;
}

}  // namespace attnfuzz::alternative
