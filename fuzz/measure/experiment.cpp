#include "fuzz/measure/experiment.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "oracle/rows.h"

namespace attnfuzz::measure {
namespace {

std::string tensor_name(const Case& c, std::string_view name, size_t step) {
  return c.cached() ? fmt::format("{}.{}", name, step) : std::string(name);
}

}  // namespace

Forge::Forge(const Plan& plan) : plan_(plan) {
  Case finite = plan.c;
  finite.data.nonfinite = NonFinite::none;
  inputs_ = make_inputs(finite);
  fill("dropout", 1);
  for (const char* name : {"k_scales", "v_scales"})
    if (const Tensor* scales = inputs_.find(name)) {  // another power of two for each KV head
      std::vector<double> values;
      for (int64_t g = 0; g < scales->size(); ++g)
        values.push_back(std::ldexp(1, -6 - static_cast<int>(g % 4) / 2));
      inputs_.replace(name, Tensor::from_doubles(scales->dtype, scales->shape, values));
    }
}

void Forge::fill(std::string_view name, double value) {
  const Tensor* tensor = inputs_.find(name);
  if (tensor == nullptr) return;
  inputs_.replace(
      name, Tensor::from_doubles(tensor->dtype, tensor->shape,
                                 std::vector<double>(static_cast<size_t>(tensor->size()), value)));
}

double Forge::sink(int64_t h) const {
  const Tensor* sinks = inputs_.find("sinks");
  if (sinks == nullptr) return -std::numeric_limits<double>::infinity();
  return sinks->to_doubles()[static_cast<size_t>(h)];
}

double Forge::scale(std::string_view name, int64_t g, double otherwise) const {
  const Tensor* scales = inputs_.find(name);
  return scales == nullptr ? otherwise : scales->to_doubles()[static_cast<size_t>(g)];
}

void Forge::queries(const FillQuery& fill) {
  const Problem& p = plan_.c.problem;
  for (size_t s = 0; s < plan_.held.size(); ++s) {
    const std::string name = tensor_name(plan_.c, "q", s);
    const Tensor* old = inputs_.find(name);
    if (old == nullptr) continue;
    const Rows rows(p.layout, old->shape);
    const int64_t len = old->shape[p.layout == Layout::bhsd ? 2 : 1];
    std::vector<double> values(static_cast<size_t>(old->size()), 0.0);
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t h = 0; h < p.num_heads; ++h)
        for (int64_t i = 0; i < len; ++i)
          fill(static_cast<int32_t>(s), b, h, i,
               std::span(values).subspan(static_cast<size_t>(rows.index(b, h, i)),
                                         static_cast<size_t>(p.head_dim)));
    inputs_.replace(name, Tensor::from_doubles(old->dtype, old->shape, values));
  }
}

void Forge::grad_out(const std::function<void(std::span<double>)>& fill) {
  const Problem& p = plan_.c.problem;
  const Tensor* old = inputs_.find("grad_out");
  if (old == nullptr) return;
  const Rows rows(p.layout, old->shape);
  std::vector<double> values(static_cast<size_t>(old->size()), 0.0);
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i)
        fill(std::span(values).subspan(static_cast<size_t>(rows.index(b, h, i)),
                                       static_cast<size_t>(p.head_dim_v)));
  inputs_.replace("grad_out", Tensor::from_doubles(old->dtype, old->shape, values));
}

void Forge::sources(const std::string& name, const std::string& memory, const FillSource& fill) {
  const Problem& p = plan_.c.problem;
  for (size_t s = 0; s < plan_.held.size(); ++s) {
    const std::string of_step = tensor_name(plan_.c, name, s);
    const Tensor* old = inputs_.find(of_step);
    if (old == nullptr) continue;
    const Rows rows(p.layout, old->shape);
    const int64_t len = old->shape[p.layout == Layout::bhsd ? 2 : 1];
    const auto dim = static_cast<size_t>(old->shape.size() > 3 ? old->shape[3] : 1);
    std::vector<double> values(static_cast<size_t>(old->size()), 0.0);
    for (int32_t b = 0; b < p.batch; ++b)
      for (int64_t g = 0; g < p.num_kv_heads; ++g)
        for (int64_t i = 0; i < len; ++i)
          fill(plan_.source({static_cast<int32_t>(s), b, i}, g),
               std::span(values).subspan(static_cast<size_t>(rows.index(b, g, i)), dim));
    inputs_.replace(of_step, Tensor::from_doubles(old->dtype, old->shape, values));
  }
  const Tensor* old = inputs_.find(memory);
  if (old == nullptr) return;
  const auto dim = static_cast<size_t>(old->shape[2]);
  std::vector<double> values(static_cast<size_t>(old->size()), 0.0);
  for (size_t m = 0; m < static_cast<size_t>(p.num_kv_heads * p.memory_kv); ++m)
    fill(m, std::span(values).subspan(m * dim, dim));
  inputs_.replace(memory, Tensor::from_doubles(old->dtype, old->shape, values));
}

std::optional<Given> run(Target& target, const Plan& plan, const Forge& forge, Budget& budget) {
  budget.spend();
  const Outcome outcome = target.run(plan.c, forge.inputs());
  if (outcome.status != Status::ok || outcome.steps.size() != plan.held.size()) return {};
  Given given;
  const Problem& p = plan.c.problem;
  for (size_t s = 0; s < outcome.steps.size(); ++s) {
    const bool asks = !plan.c.cached() || plan.c.steps[s].has_tokens();
    given.out.emplace_back();
    given.shapes.emplace_back();
    if (!asks) continue;
    const int64_t q_len = plan.c.cached() ? plan.c.steps[s].q_len : p.q_len;
    const Tensor& out = outcome.steps[s].out;
    const OutputSpec spec = output_spec(p, Output::out, q_len);
    if (out.shape != spec.shape || out.dtype != spec.dtype) return {};
    given.out.back() = out.to_doubles();
    given.shapes.back() = out.shape;
    for (const auto& [output, tensor] : outcome.steps[s].more)
      if (!plan.c.cached() && tensor.shape == output_spec(p, output, q_len).shape)
        given.more[output] = tensor.to_doubles();
  }
  return given;
}

std::span<const double> row_of(const Plan& plan, const Given& given, const Query& query) {
  const Problem& p = plan.c.problem;
  const auto step = static_cast<size_t>(query.step);
  const Rows rows(p.layout, given.shapes[step]);
  return std::span(given.out[step])
      .subspan(static_cast<size_t>(rows.index(query.b, query.h, query.i)),
               static_cast<size_t>(p.head_dim_v));
}

}  // namespace attnfuzz::measure
