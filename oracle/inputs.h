#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oracle/case.h"
#include "oracle/tensor.h"

namespace attnfuzz {

/// The tensors of a case; the value is the high word of the Philox counter, plus 16 for each step.
enum class Role : uint32_t {
  q,
  k,
  v,
  bias,
  mask,
  sinks,
  mem_k,
  mem_v,
  grad_out,
  gate,
  beta,
  dropout,
  k_scales,
  v_scales
};
template <>
inline constexpr std::array<std::string_view, 14> names_of<Role>{
    "q",     "k",        "v",    "bias", "mask",    "sinks",    "mem_k",
    "mem_v", "grad_out", "gate", "beta", "dropout", "k_scales", "v_scales"};

/// The Philox counter's high word for a tensor.
inline uint32_t tensor_number(Role role, int step) {
  return static_cast<uint32_t>(role) + 16 * static_cast<uint32_t>(step);
}

/// One element before rounding to the case's dtype. h is the head, s the token (or key, query), d
/// the element of dim. bias and mask use (b, h, i, j), memory keys (0, h, s, d), sinks (0, h, 0,
/// 0); dropout uses (b, h, i, j) with memory keys before the others. bias and sinks are normal in
/// every distribution; mask and dropout are whole numbers, uniform in 0…99, to be compared with a
/// percentage. dtype matters to the tiny distribution alone. Whatever the distribution, gate is
/// uniform in (−1, 0], 16 times as much for one element in 16, and beta uniform in [0, 1). Keys for
/// the delta rule are divided by sqrt(head_dim): see make_inputs.
double element(const Data& data, Role role, int step, int64_t b, int64_t h, int64_t s, int64_t d,
               int64_t dim, DType dtype = DType::f32);

/// The inputs of a case by name, in the case's dtype and layout. Without steps: "q", "k", "v", and
/// where the case has them "bias" (if a rule adds any), "mask" (if there are rules; 1 = seen, 0 =
/// not; both [batch, num_heads, q_len, kv_len] with every rule folded in: see dense_mask), "sinks"
/// [num_heads], "mem_k", "mem_v" [num_kv_heads, memory_kv, dim], "grad_out" (as out, if gradients
/// are asked for), "dropout" [batch, num_heads, q_len, memory_kv + kv_len] (1 = kept). With steps:
/// "q.0", "k.0", "v.0", "q.1" … for the steps that bring tokens (cross: k and v of those that bring
/// keys), and, with scales by head, "k_scales", "v_scales" [num_kv_heads] in f32. Kinds of
/// attention with a state add "gate" and "beta" (see oracle/linear/kinds.h), and have keys of
/// length about 1 where they have beta.
class Inputs {
 public:
  const Tensor& at(std::string_view name) const;
  const Tensor* find(std::string_view name) const;
  void add(std::string name, Tensor tensor);
  /// Puts another tensor in the place of one that is there.
  void replace(std::string_view name, Tensor tensor);
  const std::vector<std::pair<std::string, Tensor>>& all() const { return tensors_; }

 private:
  std::vector<std::pair<std::string, Tensor>> tensors_;
};
Inputs make_inputs(const Case& c);

/// Dtype and shape of one output of a case or of one of its steps (with q_len new tokens): out and
/// gradients are in the case's dtype, gradients as the input they belong to; lse is [batch,
/// num_heads, q_len] in f32, or f64 for f64.
struct OutputSpec {
  DType dtype;
  Shape shape;
};
OutputSpec output_spec(const Problem& problem, Output output, int64_t q_len);

/// Shape of a [batch, heads, len, dim] tensor in the given layout.
Shape shape_in(Layout layout, int64_t batch, int64_t heads, int64_t len, int64_t dim);

}  // namespace attnfuzz
