#pragma once
#include "targets/specimens/attend.h"
#include "targets/specimens/specimen.h"

/// Attention's backward pass in the steps that PyTorch models would write it in, f32 throughout.
/// Shapes as in attend.h; g is grad_out, with a head for each query head as all else.
namespace attnfuzz {

/// safe_softmax(scale · q kᵀ) over the keys that the case's mask lets be seen.
torch_like::Array weights(const Problem& problem, const Inputs& inputs, const Heads& heads);

/// 0 or 1/keep for each weight; ones without dropout.
torch_like::Array dropout_factors(const Problem& problem, const Inputs& inputs,
                                  const torch_like::Array& p);

torch_like::Array product(const torch_like::Array& a, const torch_like::Array& b);

/// P ∘ (dP − Σ P dP).
torch_like::Array softmax_gradient(const torch_like::Array& p, const torch_like::Array& dp);

/// aᵀ b for each head: [batch, heads, kv_len, dim] of [.., q_len, kv_len] and [.., q_len, dim].
torch_like::Array transposed_product(const torch_like::Array& a, const torch_like::Array& b);

torch_like::Array scaled(torch_like::Array a, double factor);

/// What a query head h adds to: KV head `key`, in the `slot`th of its buffers.
struct HeadSlot {
  int64_t key, slot;
};
/// The right one, by the case's head map.
HeadSlot head_slot(const Problem& problem, int64_t h);

/// [batch, num_kv_heads, len, dim] from a share for each query head: each is written to its slot of
/// a zeroed [num_kv_heads, group] buffer, where there is such a slot, and the slots are added up.
torch_like::Array sum_of_group(const torch_like::Array& shares, const Problem& problem,
                               HeadSlot (*slot_of)(const Problem&, int64_t h) = head_slot);

/// The step's output with the gradients that the case asks for.
StepOutput gradients_output(const Problem& problem, const torch_like::Array& out,
                            const torch_like::Array& dq, const torch_like::Array& dk,
                            const torch_like::Array& dv);

}  // namespace attnfuzz
