#include "oracle/linear/kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace attnfuzz {
namespace {

/// By kind.
constexpr KindTraits table[] = {{},
                                {.gate = Gate::key},
                                {.gate = Gate::fixed},
                                {.gate = Gate::head},
                                {.beta = true},
                                {.gate = Gate::head, .beta = true}};
static_assert(std::size(table) == names_of<ProblemKind>.size());

/// Feature words that may go with a state, of families that as a whole may not.
constexpr std::string_view allowed[] = {"rule:causal",           "rule:documents",
                                        "cache:dynamic",         "nonfinite:none",
                                        "nonfinite:nan_padding", "nonfinite:inf_padding"};
constexpr std::string_view refused[] = {"cross",
                                        "longer_q",
                                        "softcap",
                                        "sinks",
                                        "memory_kv",
                                        "bias_order:",
                                        "fully_masked:",
                                        "align:",
                                        "rule:",
                                        "cache:",
                                        "nonfinite:",
                                        "positions:",
                                        "step:crop",
                                        "step:evict",
                                        "dropout",
                                        "lse",
                                        "dq",
                                        "dk",
                                        "dv",
                                        "dbias",
                                        "dsinks",
                                        "dmem_k",
                                        "dmem_v",
                                        "rope:",
                                        "rope_part:",
                                        "quant:",
                                        "scales:",
                                        "data:huge",
                                        "rope_scaling:",
                                        "rope_magnitude",
                                        "rope_positions",
                                        "strides:"};

}  // namespace

KindTraits traits(ProblemKind kind) {
  return table[static_cast<size_t>(kind)];
}

double fixed_gate(int64_t g) {
  return std::log1p(-std::exp2(-5 - static_cast<double>(g)));
}

bool is_softmax_only(std::string_view word) {
  if (std::find(std::begin(allowed), std::end(allowed), word) != std::end(allowed)) return false;
  return std::any_of(std::begin(refused), std::end(refused), [&](std::string_view part) {
    return part.ends_with(':') ? word.starts_with(part) : word == part;
  });
}

}  // namespace attnfuzz
