#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/report.h"

/// Findings made by hand, for tests.
namespace attnfuzz::samples {

inline Case small_case(const std::string& mask = R"({"align":"top_left","rules":[]})") {
  return parse_case(R"({"attnfuzz":1,"problem":{"batch":2,"num_heads":4,"num_kv_heads":2,
    "q_len":8,"kv_len":11,"head_dim":16,"head_dim_v":16,"dtype":"f32","layout":"bhsd","scale":null,
    "softcap":0,"sinks":false,"memory_kv":0,"head_map":"grouped","bias_order":"after_softcap",
    "fully_masked":"zero","mask":)" +
                        mask + R"(},"data":{"seed":7,"dist":"normal","nonfinite":"none"}})",
                    "sample")
      .c;
}

/// A causal window over more keys than queries.
inline Case window_case() {
  return small_case(
      R"({"align":"bottom_right","rules":[{"rule":"causal"},{"rule":"window","left":3,"right":0}]})");
}

inline Case cached_case() {
  return parse_case(R"({"attnfuzz":1,"problem":{"batch":2,"num_heads":4,"num_kv_heads":2,
    "head_dim":16,"head_dim_v":16,"dtype":"f32","layout":"bhsd","scale":null,"softcap":0,
    "sinks":false,"memory_kv":0,"head_map":"grouped","bias_order":"after_softcap",
    "fully_masked":"zero","mask":{"align":"top_left","rules":[{"rule":"causal"}]}},
    "data":{"seed":7,"dist":"normal","nonfinite":"none"},
    "cache":{"kind":"dynamic"},
    "steps":[{"op":"prefill","q_len":7},{"op":"decode","q_len":1}]})",
                    "sample")
      .c;
}

/// What a target gives that computes this.
inline Outcome outcome_of(const Case& c, const Answer& answer) {
  Outcome outcome;
  for (const StepAnswer& step : answer.steps) {
    StepOutput output;
    if (!step.shape.empty())
      output.out = Tensor::from_doubles(c.problem.dtype, step.shape, step.out);
    output.lengths = step.lengths;
    for (const MoreAnswer& more : step.more)
      output.more[more.output] = Tensor::from_doubles(output_spec(c.problem, more.output, 0).dtype,
                                                      more.shape, more.values);
    outcome.steps.push_back(std::move(output));
  }
  return outcome;
}

inline Outcome right_outcome(const Case& c) {
  return outcome_of(c, answer(c, make_inputs(c)));
}

inline Finding finding(const Case& c, Outcome outcome) {
  Finding f;
  f.target = "specimen:sample";
  f.version = "1.0";
  f.seed = 1;
  f.index = 17;
  f.original = c;
  f.first.outcome = std::move(outcome);
  f.first.verdict = judge(c, make_inputs(c), Precision{}, f.first.outcome);
  f.first.signature = signature(f.target, c, f.first.verdict);
  f.signature = f.first.signature;
  f.shrunk = {c, {"kv_len 37 → 11"}, 12, true};
  f.last = f.first;
  return f;
}

inline Finding error_finding(const Case& c, const std::string& text) {
  return finding(c, Outcome{Status::error, text, {}});
}

inline constexpr const char* kMaskAxisText =
    "RuntimeError: The size of tensor a (8) must match the size of tensor b (2) at non-singleton "
    "dimension 0";

/// A right output with 1 added wherever `wrong(b, h, i, d)` holds. Layout bhsd, one step.
template <class Wrong>
Finding mismatch_finding(const Case& c, Wrong wrong) {
  Outcome outcome = right_outcome(c);
  Tensor& out = outcome.steps[0].out;
  std::vector<double> values = out.to_doubles();
  size_t n = 0;
  for (int64_t b = 0; b < out.shape[0]; ++b)
    for (int64_t h = 0; h < out.shape[1]; ++h)
      for (int64_t i = 0; i < out.shape[2]; ++i)
        for (int64_t d = 0; d < out.shape[3]; ++d, ++n)
          if (wrong(b, h, i, d)) values[n] += 1;
  out = Tensor::from_doubles(out.dtype, out.shape, values);
  return finding(c, std::move(outcome));
}

/// The output of another case as that of this one.
inline Finding as_if(const Case& c, const Case& meant) {
  return finding(c, right_outcome(meant));
}

inline Report::Item item(const Finding& f) {
  return {f, diagnose(f), "2025-01-02T03:04:05Z", "2025-01-03T00:00:00Z", "repro.sh", "Linux"};
}

inline Report report(std::vector<Report::Item> items) {
  Report r;
  r.version = "0.1.0";
  r.environment = "Linux";
  CampaignStats stats;
  stats.cases = 100;
  stats.passed = 98;
  stats.failed = 2;
  stats.seconds = 1.5;
  r.targets = {{"specimen:sample", stats}};
  r.items = std::move(items);
  return r;
}

}  // namespace attnfuzz::samples
