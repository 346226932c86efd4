// Long cases: judged on a sample of their rows, whatever the layout.
#include <gtest/gtest.h>

#include "fuzz/judge.h"
#include "oracle/rows.h"
#include "oracle/sample.h"
#include "oracle/sample_keys.h"

namespace attnfuzz {
namespace {

Case long_case(Layout layout) {
  Case c;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = 700;
  c.problem.kv_len = 710;
  c.problem.head_dim = c.problem.head_dim_v = 32;
  c.problem.layout = layout;
  c.problem.mask.rules.push_back({find_rule("causal"), {}});
  return c;
}

struct Done {
  Inputs inputs;
  Outcome outcome;
};
Done run_naive(const Case& c) {
  Done made{make_inputs(c), {}};
  made.outcome = open_target("cpu:naive")->run(c, made.inputs);
  return made;
}

/// Without what the outcome may mean instead.
Verdict judged(const Case& c, const Done& made) {
  const std::vector<std::string> none;
  return judge(c, made.inputs, Precision{}, made.outcome, &none);
}

/// A row of `out`, or of another output, is made wrong.
void spoil(const Case& c, Tensor& output, int64_t b, int64_t h, int64_t row) {
  output.as<float>()[Rows(c.problem.layout, output.shape).index(b, h, row) + 3] += 1;
}

TEST(SampledJudge, FindsWhatIsWrongInJudgedRowsAlone) {
  for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
    const Case c = long_case(layout);
    const Sample sample = sample_of(c);
    ASSERT_EQ(sample.size(), 1U);
    Done made = run_naive(c);
    const Verdict right = judged(c, made);
    EXPECT_EQ(right.kind, VerdictKind::pass) << right.detail;
    EXPECT_EQ(right.checked, sample[0]->count() * 32);
    int64_t other = 0;
    while (sample[0]->find(0, 2, other) >= 0) ++other;
    spoil(c, made.outcome.steps[0].out, 0, 2, other);
    EXPECT_FALSE(judged(c, made).failed());
    spoil(c, made.outcome.steps[0].out, 0, 2, 64);
    const Verdict wrong = judged(c, made);
    ASSERT_TRUE(wrong.failed());
    EXPECT_EQ(wrong.wrong, 1);
    EXPECT_EQ(wrong.worst.h, 2);
    EXPECT_EQ(wrong.worst.i, 64);
    EXPECT_EQ(wrong.worst.d, 3);
  }
}

TEST(SampledJudge, FindsAWrongGradientOfAJudgedKey) {
  for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
    Case c = long_case(layout);
    c.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv};
    Done made = run_naive(c);
    ASSERT_EQ(made.outcome.status, Status::ok) << made.outcome.text;
    const Verdict right = judged(c, made);
    EXPECT_EQ(right.kind, VerdictKind::pass) << right.detail;
    ASSERT_GE(sample_keys(c).find(0, 1, 63), 0);
    spoil(c, made.outcome.steps[0].more.at(Output::dk), 0, 1, 63);
    const Verdict wrong = judged(c, made);
    ASSERT_TRUE(wrong.failed());
    EXPECT_EQ(wrong.worst.output, Output::dk);
    EXPECT_EQ(wrong.worst.h, 1);
    EXPECT_EQ(wrong.worst.i, 63);
  }
}

}  // namespace
}  // namespace attnfuzz
