#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

constexpr int64_t most_tokens = 63;

/// Tokens of zeros before the first real one of each row.
std::vector<Origin> shifted(const Step& step, int64_t n, int64_t batch, int64_t count) {
  std::vector<Origin> tokens;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t first = step.first_real(static_cast<size_t>(b));
    for (int64_t s = 0; s < step.q_len + count; ++s) {
      const bool zeros = s >= first && s < first + count;
      tokens.push_back(zeros ? Origin{} : Origin{n, b, s < first ? s : s - count});
    }
  }
  return tokens;
}

std::optional<Twin> twin(const Case& c) {
  if (!c.problem.recurrent()) return {};
  const int64_t count = chosen(c, 1, most_tokens);
  Twin twin = same(c);
  for (StepOrigins& step : twin.steps) step.state_of = -1;  // more tokens
  Step whole;
  whole.q_len = c.problem.q_len;
  if (c.cached()) {
    whole = c.steps[0];
    if (whole.op != StepOp::prefill) return {};
    twin.c.steps[0].q_len += count;
    for (int64_t& len : twin.c.steps[0].lens) len += count;
  } else {
    Problem& p = twin.c.problem;
    p.q_len += count;
    p.kv_len += count;
    for (RuleUse& use : p.mask.rules)
      if (use.spec->name == "documents") {
        auto& lens = std::get<std::vector<int64_t>>(use.values[0]);
        if (lens.empty()) return {};
        lens[0] += count;
      }
  }
  twin.steps[0].queries = twin.steps[0].keys = shifted(whole, 0, c.problem.batch, count);
  return twin;
}

}  // namespace

const Relation shifted_chunks = {
    .name = "shifted-chunks",
    .words =
        "where a state's chunks begin makes no difference: tokens of zeros in front of all "
        "others change nothing",
    .cause =
        "A chunk's boundary shows: a decay is missing or counts twice there, a token is left "
        "out, or the state is not carried over.",
    .twin = twin};

}  // namespace attnfuzz::relation
