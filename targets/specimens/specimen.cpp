#include "targets/specimens/specimen.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz {
namespace {

using torch_like::Array;

class SpecimenTarget : public Target {
 public:
  SpecimenTarget(const Specimen& specimen, Form form) : specimen_(specimen), form_(form) {
    info_.name = fmt::format("{}:{}", form == Form::buggy ? "specimen" : "fixed", specimen.name);
    info_.version = specimen.source;
    info_.about = form == Form::buggy ? specimen.about : fmt::format("{}: fixed", specimen.about);
    info_.capabilities = parse_capabilities(specimen.capabilities, info_.name);
    info_.trusted = true;
  }

  const TargetInfo& info() const override { return info_; }

  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    try {
      specimen_.run(form_, c, inputs, outcome.steps);
    } catch (const torch_like::TorchError& error) {
      outcome.status = Status::error;
      outcome.text = error.what();
    }
    return outcome;
  }

 private:
  const Specimen& specimen_;
  Form form_;
  TargetInfo info_;
};

}  // namespace

std::unique_ptr<Target> open_specimen(const Specimen& specimen, Form form) {
  return std::make_unique<SpecimenTarget>(specimen, form);
}

Heads heads_of(const Problem& problem, const Inputs& inputs) {
  return {heads_first(inputs.at("q"), problem.layout),
          repeat_kv(heads_first(inputs.at("k"), problem.layout), problem),
          repeat_kv(heads_first(inputs.at("v"), problem.layout), problem)};
}

Array heads_first(const Tensor& tensor, Layout layout) {
  Array a;
  a.shape = tensor.shape;
  a.values.assign(tensor.as<float>(), tensor.as<float>() + tensor.size());
  return layout == Layout::bhsd ? a : torch_like::transpose(a, 1, 2);
}

Tensor to_output(const Array& out, Layout layout) {
  const Array a = layout == Layout::bhsd ? out : torch_like::transpose(out, 1, 2);
  Tensor tensor(DType::f32, a.shape);
  std::copy(a.values.begin(), a.values.end(), tensor.as<float>());
  return tensor;
}

Array repeat_kv(const Array& kv, const Problem& problem) {
  const int64_t group = problem.num_heads / kv.size(1);
  return problem.head_map == HeadMap::grouped ? torch_like::repeat_interleave(kv, 1, group)
                                              : torch_like::repeat(kv, 1, group);
}

Array attention_mask_2d(const Problem& problem) {
  Array mask({problem.batch, problem.kv_len}, 1);
  const RuleUse* padding = problem.mask.find("padding");
  if (!padding) return mask;
  const bool left = padding->spec->params[0].choices[static_cast<size_t>(padding->integer(0))] ==
                    std::string_view("left");
  for (int64_t b = 0; b < problem.batch; ++b) {
    const int64_t real = padding->list(1)[static_cast<size_t>(b)];
    const auto row = mask.values.begin() + b * problem.kv_len;
    std::fill_n(left ? row : row + real, problem.kv_len - real, 0.0F);
  }
  return mask;
}

Array attention_mask_4d(const Problem& problem) {
  return torch_like::unsqueeze(torch_like::unsqueeze(attention_mask_2d(problem), 1), 1);
}

Array dense_mask_4d(const Problem& problem, const Inputs& inputs) {
  const Tensor* mask = inputs.find("mask");
  if (mask) return heads_first(*mask, Layout::bhsd);
  return Array({problem.batch, problem.num_heads, problem.q_len, problem.kv_len}, 1);
}

bool is_causal(const Problem& problem) {
  return problem.mask.find("causal") != nullptr;
}

std::optional<int64_t> rule_integer(const Problem& problem, std::string_view rule,
                                    std::string_view param) {
  const RuleUse* use = problem.mask.find(rule);
  if (!use) return std::nullopt;
  for (size_t k = 0; k < use->spec->params.size(); ++k)
    if (use->spec->params[k].name == param) return use->integer(k);
  return std::nullopt;
}

}  // namespace attnfuzz
