#include "fuzz/faults/fault.h"

#include <algorithm>
#include <array>

#include "fuzz/faults/rewrite.h"

namespace attnfuzz {

std::span<const Fault> faults() {
  static const std::vector<Fault> table = [] {
    std::vector<Fault> all;
    for (const auto group :
         {fault::cached_reads(), fault::cache(), fault::position(), fault::mask(), fault::bias(),
          fault::sparse(), fault::packed(), fault::rope_scaling(), fault::strides(), fault::score(),
          fault::layout(), fault::tensors(), fault::keys(), fault::state(), fault::backward()}) {
      all.insert(all.end(), group.begin(), group.end());
    }
    return all;
  }();
  return table;
}

const Fault* find_fault(std::string_view name) {
  for (const Fault& fault : faults())
    if (fault.name == name) return &fault;
  return nullptr;
}

namespace {

std::array<int64_t, 4> dropout_shape(const Problem& p) {
  return {p.batch, p.num_heads, p.q_len, p.memory_kv + p.kv_len};
}

/// Whether the other case has the query rows of this one.
bool has_rows(const Case& other, const Case& c) {
  const Problem &p = other.problem, &own = c.problem;
  const auto same = [](const Step& a, const Step& b) { return a.q_len == b.q_len; };
  return p.batch == own.batch && p.num_heads == own.num_heads && p.q_len == own.q_len &&
         std::equal(other.steps.begin(), other.steps.end(), c.steps.begin(), c.steps.end(), same);
}

}  // namespace

std::optional<Answer> faulty_answer(const Fault& fault, const Case& c, const Inputs& inputs,
                                    const Precision& precision) {
  if (!fault.is_about(c)) return {};
  const std::optional<Case> other = fault.rewrite(c);
  if (!other) return {};
  if (c.problem.has_dropout() && dropout_shape(other->problem) != dropout_shape(c.problem) &&
      fault.read != nullptr)
    return {};                         // nothing tells which weights of other keys are kept
  const Sample sample = sample_of(c);  // the rows that are judged, whatever the other case's are
  if (!sample.empty() && (!has_rows(*other, c) || fault.evaluate != nullptr)) return {};
  if (fault.evaluate != nullptr) return fault.evaluate(*other, inputs, precision);
  const Plan plan = fault.plan == nullptr ? lower(*other) : fault.plan(*other);
  if (fault.read == nullptr) return evaluate(*other, plan, inputs, precision, sample);
  return evaluate(*other, plan, fault.read(c, inputs), precision, sample);
}

}  // namespace attnfuzz
