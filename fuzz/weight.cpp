#include <numeric>

#include "fuzz/candidates.h"
#include "fuzz/plain.h"
#include "fuzz/shrink.h"
#include "oracle/given.h"

namespace attnfuzz {
namespace {

using Kind = RuleParam::Kind;

constexpr uint64_t of_given = uint64_t{1} << 50, of_cache = uint64_t{1} << 40, of_item = 256,
                   of_entry = 8;

uint64_t sum(const std::vector<int64_t>& values) {
  return static_cast<uint64_t>(std::accumulate(values.begin(), values.end(), int64_t{0}));
}

uint64_t weight_of(const Case& c, const RuleParam& param, const ParamValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value))
    return static_cast<uint64_t>(*number - (param.kind == Kind::choice ? 0 : param.min));
  const auto& list = std::get<std::vector<int64_t>>(value);
  if (param.kind == Kind::lengths || param.kind == Kind::q_lens || param.kind == Kind::kv_lens)
    return of_entry * list.size();
  if (param.kind == Kind::parents) {  // a branch weighs less than a node
    uint64_t branches = 0;
    for (size_t n = 0; n < list.size(); ++n)
      branches += list[n] == static_cast<int64_t>(n) - 1 ? 0 : 1;
    return of_entry * list.size() + branches;
  }
  uint64_t total = 0;
  for (const int64_t length : list)
    total += static_cast<uint64_t>(std::abs(length - plainest_length(c, param)));
  return total;
}

uint64_t weight_of(const Step& step) {
  uint64_t total = of_item +
                   static_cast<uint64_t>(step.q_len + step.kv_len.value_or(0) + step.length +
                                         step.start + step.count) +
                   (step.side == Side::right ? 0 : of_entry) +
                   (step.op == StepOp::fork ? 2 * of_entry : 0);
  if (!step.lens.empty())
    total += of_entry + static_cast<uint64_t>(step.keys()) * step.lens.size() - sum(step.lens);
  for (size_t b = 0; b < step.rows.size(); ++b)
    total += step.rows[b] == static_cast<int64_t>(b) ? 0 : of_entry;
  return total;
}

/// Of the tensors' numbers as far as the case reads them.
uint64_t weight_of_given(const Case& c) {
  uint64_t total = of_given;
  for (const Tensor& tensor : given_tensors(c))
    for (const double x : tensor.to_doubles()) total += given_cost(x);
  return total;
}

}  // namespace

uint64_t weight(const Case& c) {
  auto total = static_cast<uint64_t>(c.problem.kind) + static_cast<uint64_t>(c.problem.rope_dim) +
               static_cast<uint64_t>(c.problem.rope_scaling.original_len);
  for (const ProblemSize& size : problem_sizes())
    total += static_cast<uint64_t>(c.problem.*size.member);
  for (const PlainOption& option : plain_options())
    if (!option.is_plain(c)) total += option.weight;
  for (const RuleUse& use : c.problem.mask.rules) {
    total += of_item;
    for (size_t k = 0; k < use.values.size(); ++k)
      total += weight_of(c, use.spec->params[k], use.values[k]);
  }
  total += of_entry * (c.problem.outputs.size() - 1);
  if (c.cached())
    total += of_cache + of_item * static_cast<uint64_t>(c.cache->kind) +
             static_cast<uint64_t>(c.cache->capacity + c.cache->page_size + c.cache->keep);
  for (const Step& step : c.steps) total += weight_of(step);
  if (c.data.given != nullptr) total += weight_of_given(c);
  return total;
}

}  // namespace attnfuzz
