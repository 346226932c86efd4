#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "targets/specimens/torch_like.h"
#include "targets/target.h"

namespace attnfuzz {

/// A specimen is a publicly reported bug rebuilt as a target, twice from the same code: as it was
/// reported, and fixed. They differ in the lines that made the bug and in nothing else.
enum class Form : uint8_t { buggy, fixed };

struct Specimen {
  std::string_view name;          ///< "gla-cache-offset"
  std::string_view about;         ///< one line: what goes wrong
  std::string_view source;        ///< "transformers 4.51.0": where the bug was
  std::string_view capabilities;  ///< JSON, see targets/capabilities.h; the same for both forms
  /// Runs the case and appends what each step gives. Throws TorchError where the real package did.
  void (*run)(Form form, const Case& c, const Inputs& inputs, std::vector<StepOutput>& steps);
};

/// The target "specimen:NAME" (buggy) or "fixed:NAME".
std::unique_ptr<Target> open_specimen(const Specimen& specimen, Form form);

/// q, k and v as [batch, num_heads, len, dim], the KV heads repeated for the query heads that they
/// serve.
struct Heads {
  torch_like::Array q, k, v;
};
Heads heads_of(const Problem& problem, const Inputs& inputs);

/// An input as [batch, heads, len, dim] whatever the case's layout.
torch_like::Array heads_first(const Tensor& tensor, Layout layout);

/// [batch, heads, len, dim] as an output in the case's layout.
Tensor to_output(const torch_like::Array& out, Layout layout);

/// k or v with a head for each query head, by the case's head map.
torch_like::Array repeat_kv(const torch_like::Array& kv, const Problem& problem);

/// The 2-D attention mask that tokenizers give and models are called with: [batch, kv_len], 1 for a
/// real token, 0 for padding; all ones without a padding rule. And the same as [batch, 1, 1,
/// kv_len], which broadcasts to scores.
torch_like::Array attention_mask_2d(const Problem& problem);
torch_like::Array attention_mask_4d(const Problem& problem);

/// The case's whole mask, all rules folded in, as a caller of scaled_dot_product_attention hands it
/// over: [batch, num_heads, q_len, kv_len], 1 where seen.
torch_like::Array dense_mask_4d(const Problem& problem, const Inputs& inputs);

bool is_causal(const Problem& problem);

/// A parameter of a rule of the case's mask, or none without that rule: ("window", "left").
std::optional<int64_t> rule_integer(const Problem& problem, std::string_view rule,
                                    std::string_view param);

}  // namespace attnfuzz
