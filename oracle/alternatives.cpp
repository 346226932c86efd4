#include "oracle/alternatives.h"

#include <algorithm>
#include <array>

#include "oracle/alternatives/rewrite.h"

namespace attnfuzz {

std::span<const Alternative> alternatives() {
  static const std::vector<Alternative> table = [] {
    std::vector<Alternative> all;
    for (const auto group : {alternative::misread(), alternative::cache(), alternative::position(),
                             alternative::mask(), alternative::bias(), alternative::score(),
                             alternative::layout(), alternative::tensors(), alternative::keys(),
                             alternative::state(), alternative::backward()}) {
      all.insert(all.end(), group.begin(), group.end());
    }
    return all;
  }();
  return table;
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

std::optional<Answer> answer_by(const Alternative& alternative, const Case& c, const Inputs& inputs,
                                const Precision& precision) {
  if (!alternative.is_about(c)) return {};
  const std::optional<Case> other = alternative.rewrite(c);
  if (!other) return {};
  if (c.problem.has_dropout() && dropout_shape(other->problem) != dropout_shape(c.problem) &&
      alternative.read != nullptr)
    return {};                         // nothing tells which weights of other keys are kept
  const Sample sample = sample_of(c);  // the rows that are judged, whatever the other case's are
  if (!sample.empty() && !has_rows(*other, c)) return {};
  if (alternative.read == nullptr) return answer(*other, inputs, precision, sample);
  return answer(*other, alternative.read(c, inputs), precision, sample);
}

}  // namespace attnfuzz
