// Dropout, the log-sum-exp and the gradients.
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
    ATTNFUZZ_SLIP("grad-not-masked", "the backward pass gives hidden keys weight",
                  backward_not_masked, c.problem.asks_gradients() && !c.problem.mask.rules.empty()),
    ATTNFUZZ_SLIP("grad-not-dropped", "the backward pass has no dropout", backward_not_dropped,
                  c.problem.asks_gradients() && c.problem.has_dropout()),
    ATTNFUZZ_SLIP("grad-without-sink", "the backward pass normalises the weights without the sink",
                  backward_without_sink, c.problem.asks_gradients() && c.problem.sinks),
    ATTNFUZZ_SLIP("grad-without-softcap-slope",
                  "the backward pass takes the softcap for the identity", no_softcap_slope,
                  c.problem.asks_gradients() && c.problem.softcap > 0),
};

#undef ATTNFUZZ_SLIP

}  // namespace

std::span<const Alternative> backward() {
  return table;
}

}  // namespace attnfuzz::alternative
