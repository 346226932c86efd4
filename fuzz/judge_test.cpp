#include "fuzz/judge.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fuzz/generate.h"
#include "fuzz/signature.h"
#include "fuzz/testing.h"
#include "oracle/each_nth.h"

namespace attnfuzz {
namespace {

constexpr Precision precision;

Case plain_case() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = c.problem.num_kv_heads = 3;
  c.problem.q_len = 4;
  c.problem.kv_len = 5;
  c.problem.head_dim = c.problem.head_dim_v = 6;
  return c;
}

Outcome outcome_of(const Case& c, const Answer& answer) {
  Outcome outcome;
  for (const StepAnswer& step : answer.steps) {
    StepOutput& output = outcome.steps.emplace_back();
    if (!step.shape.empty())
      output.out = Tensor::from_doubles(c.problem.dtype, step.shape, step.out);
    output.lengths = step.lengths;
    for (const MoreAnswer& more : step.more)
      output.more[more.output] = Tensor::from_doubles(output_spec(c.problem, more.output, 0).dtype,
                                                      more.shape, more.values);
  }
  return outcome;
}

Outcome right_outcome(const Case& c) {
  return outcome_of(c, answer(c, make_inputs(c), precision));
}

Verdict judged(const Case& c, const Outcome& outcome) {
  return judge(c, make_inputs(c), precision, outcome);
}

TEST(Judge, TheAnswerPasses) {
  const Case c = plain_case();
  const Verdict verdict = judged(c, right_outcome(c));
  EXPECT_EQ(verdict.kind, VerdictKind::pass) << verdict.detail;
  EXPECT_EQ(verdict.checked, 2 * 3 * 4 * 6);
  EXPECT_LE(verdict.worst_ratio, 1);
}

TEST(Judge, StatusHasAKind) {
  const Case c = plain_case();
  constexpr std::pair<Status, FailureKind> table[] = {{Status::error, FailureKind::error},
                                                      {Status::crash, FailureKind::crash},
                                                      {Status::timeout, FailureKind::timeout},
                                                      {Status::memory, FailureKind::memory}};
  for (const auto& [status, kind] : table) {
    const Verdict verdict = judged(c, {status, "why", {}});
    EXPECT_TRUE(verdict.failed());
    EXPECT_EQ(verdict.failure, kind);
    EXPECT_EQ(verdict.detail, "why");
  }
  EXPECT_EQ(judged(c, {Status::declined, "documented", {}}).kind, VerdictKind::skip);
}

TEST(Judge, FindsTheWorstElementInBothLayouts) {
  for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
    Case c = plain_case();
    c.problem.layout = layout;
    Outcome outcome = right_outcome(c);
    // Element b=1, h=2, i=3, d=4.
    const int64_t at =
        layout == Layout::bhsd ? ((1 * 3 + 2) * 4 + 3) * 6 + 4 : ((1 * 4 + 3) * 3 + 2) * 6 + 4;
    outcome.steps[0].out.as<float>()[at] += 1;
    outcome.steps[0].out.as<float>()[0] += 0.5F;
    const Verdict verdict = judged(c, outcome);
    ASSERT_TRUE(verdict.failed());
    EXPECT_EQ(verdict.failure, FailureKind::mismatch);
    EXPECT_EQ(verdict.wrong, 2);
    EXPECT_EQ(verdict.worst.b, 1);
    EXPECT_EQ(verdict.worst.h, 2);
    EXPECT_EQ(verdict.worst.i, 3);
    EXPECT_EQ(verdict.worst.d, 4);
    EXPECT_NEAR(verdict.worst.got - verdict.worst.want, 1, 1e-6);
  }
}

TEST(Judge, OtherFinitenessIsNan) {
  const Case c = plain_case();
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Outcome outcome = right_outcome(c);
    outcome.steps[0].out.as<float>()[0] += 1;
    outcome.steps[0].out.as<float>()[7] = value;
    const Verdict verdict = judged(c, outcome);
    EXPECT_EQ(verdict.failure, FailureKind::nan);
    EXPECT_FALSE(std::isfinite(verdict.worst.got));
  }
}

TEST(Judge, NanWhereNanIsTheAnswer) {
  Case c = plain_case();
  c.problem.kv_len = 0;
  c.problem.fully_masked = FullyMasked::nan;
  Outcome outcome = right_outcome(c);
  EXPECT_EQ(judged(c, outcome).kind, VerdictKind::pass);
  outcome.steps[0].out.as<float>()[3] = 0;
  EXPECT_EQ(judged(c, outcome).failure, FailureKind::nan);
  c.problem.fully_masked = FullyMasked::any;
  EXPECT_EQ(judged(c, outcome).kind, VerdictKind::pass);
}

TEST(Judge, ShapeTypeAndStepsAreChecked) {
  const Case c = plain_case();
  Outcome swapped = right_outcome(c);
  swapped.steps[0].out.shape = {2, 4, 3, 6};
  EXPECT_EQ(judged(c, swapped).failure, FailureKind::shape);
  EXPECT_EQ(judged(c, swapped).detail,
            "out has shape [batch=2, 4, 3, head_dim_v=6], "
            "expected [batch=2, num_heads=3, q_len=4, head_dim_v=6]");
  EXPECT_EQ(judged(c, swapped).dedup_text, "out: h is 4, i is 3");
  Outcome flat = right_outcome(c);
  flat.steps[0].out.shape = {2, 12, 6};
  EXPECT_EQ(judged(c, flat).dedup_text, "");
  Outcome wide = right_outcome(c);
  wide.steps[0].out = Tensor(DType::f64, {2, 3, 4, 6});
  EXPECT_EQ(judged(c, wide).detail, "out is f64, expected f32");
  EXPECT_EQ(judged(c, {}).failure, FailureKind::shape);
}

TEST(Judge, AWrongShapeIsOneFailureInEveryLayoutAndSize) {
  const auto signature_of = [](Layout layout, int64_t head_dim_v) {
    Case c = plain_case();
    c.problem.layout = layout;
    c.problem.head_dim_v = head_dim_v;
    Outcome empty = right_outcome(c);
    Shape& shape = empty.steps[0].out.shape;
    shape[0] = shape[layout == Layout::bhsd ? 2 : 1] = 0;
    return signature("t", c, judged(c, empty));
  };
  EXPECT_EQ(signature_of(Layout::bhsd, 5), signature_of(Layout::bhsd, 6));
  EXPECT_EQ(signature_of(Layout::bhsd, 5), signature_of(Layout::bshd, 5));
}

TEST(Judge, CacheLengthsAreChecked) {
  Case c = plain_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache.emplace();
  c.steps = {{.op = StepOp::prefill, .q_len = 3, .lens = {}, .rows = {}, .length = 0},
             {.op = StepOp::decode, .q_len = 1, .lens = {}, .rows = {}, .length = 0}};
  Outcome outcome = right_outcome(c);
  EXPECT_EQ(judged(c, outcome).kind, VerdictKind::pass) << judged(c, outcome).detail;
  outcome.steps[1].lengths = {4, 6};
  EXPECT_EQ(judged(c, outcome).detail, "step 1: a row's cache holds 6 tokens, expected 4");
  outcome.steps[1].lengths.clear();  // it does not say
  EXPECT_EQ(judged(c, outcome).kind, VerdictKind::pass);
}

TEST(Judge, LengthsHaveAMeaningToo) {
  Case c = plain_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache.emplace();
  c.steps = {{.op = StepOp::prefill, .q_len = 3, .lens = {}, .rows = {}, .length = 0},
             {.op = StepOp::crop, .q_len = 0, .lens = {}, .rows = {}, .length = 1}};
  Case kept = c;
  kept.steps[1].length = 2;
  const Verdict verdict = judged(c, right_outcome(kept));
  EXPECT_EQ(verdict.failure, FailureKind::shape);
  ASSERT_EQ(verdict.fits.size(), 1U);
  EXPECT_EQ(verdict.fits[0]->name, "crop-plus-one");
}

TEST(Judge, TheFirstViolationCounts) {
  Case c = plain_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache.emplace();
  c.steps = {{.op = StepOp::prefill, .q_len = 3, .lens = {}, .rows = {}, .length = 0},
             {.op = StepOp::append, .q_len = 2, .lens = {}, .rows = {}, .length = 0},
             {.op = StepOp::decode, .q_len = 1, .lens = {}, .rows = {}, .length = 0}};
  Outcome outcome = right_outcome(c);
  outcome.status = Status::error;
  outcome.text = "out of range";
  outcome.steps.pop_back();
  EXPECT_EQ(judged(c, outcome).failure, FailureKind::error);  // what was done until then is right
  Outcome wrong_length = outcome;
  wrong_length.steps[1].lengths = {6, 6};
  EXPECT_EQ(judged(c, wrong_length).failure, FailureKind::shape);
  EXPECT_EQ(judged(c, wrong_length).detail, "step 1: a row's cache holds 6 tokens, expected 5");
  Outcome wrong_value = wrong_length;
  wrong_value.steps[0].out.as<float>()[0] += 1;
  EXPECT_EQ(judged(c, wrong_value).failure, FailureKind::mismatch);
  EXPECT_EQ(judged(c, wrong_value).worst.step, 0);
  wrong_length.steps[0].lengths = {2, 2};
  EXPECT_EQ(judged(c, wrong_length).detail, "step 0: a row's cache holds 2 tokens, expected 3");
}

TEST(Judge, NamesTheMeaningThatTheOutputHas) {
  Case c = plain_case();
  c.problem.mask.rules = {{find_rule("causal"), {}},
                          {find_rule("window"), {int64_t{1}, int64_t{0}}}};
  c.problem.q_len = c.problem.kv_len = 5;
  Case without = c;
  without.problem.mask.rules.pop_back();
  const Verdict verdict = judged(c, right_outcome(without));
  ASSERT_TRUE(verdict.failed());
  EXPECT_EQ(verdict.failure, FailureKind::ignored);
  std::vector<std::string_view> fits;
  for (const Fault* fit : verdict.fits) fits.push_back(fit->name);
  EXPECT_NE(std::find(fits.begin(), fits.end(), "window-ignored"), fits.end());
}

Case backward_case() {
  Case c = plain_case();
  c.problem.num_heads = 6;
  c.problem.layout = Layout::bshd;
  c.problem.mask.rules = {{find_rule("causal"), {}}, {find_rule("alibi"), {}}};
  c.problem.outputs = {Output::out, Output::lse, Output::dq, Output::dk, Output::dv, Output::dbias};
  return c;
}

TEST(Judge, LooksAtAllThatIsAskedFor) {
  const Case c = backward_case();
  const Outcome right = right_outcome(c);
  const Verdict verdict = judged(c, right);
  EXPECT_EQ(verdict.kind, VerdictKind::pass) << verdict.detail;
  EXPECT_EQ(verdict.checked, 2 * (6 * 4 * 6 * 2 + 6 * 4 + 3 * 5 * 6 * 2 + 6 * 4 * 5));

  Outcome without = right;
  without.steps[0].more.erase(Output::dv);
  EXPECT_EQ(judged(c, without).failure, FailureKind::shape);
  EXPECT_EQ(judged(c, without).detail, "no dv was given");
  Outcome half = right;
  half.steps[0].more[Output::lse] =
      Tensor::from_doubles(DType::f16, {2, 6, 4}, half.steps[0].more[Output::lse].to_doubles());
  EXPECT_EQ(judged(c, half).detail, "lse is f16, expected f32");
}

TEST(Judge, SaysWhichGradientIsWrongAndWhere) {
  const Case c = backward_case();
  struct Row {
    Output output;
    int64_t at;
    std::string_view place;
  };
  // In memory: dk [2, 5, 3, 6], dbias [2, 6, 4, 5], lse [2, 6, 4].
  const Row rows[] = {{Output::dk, ((1 * 5 + 3) * 3 + 2) * 6 + 4, "dk[b=1, h=2, j=3, d=4]"},
                      {Output::dbias, ((1 * 6 + 5) * 4 + 3) * 5 + 2, "dbias[b=1, h=5, i=3, j=2]"},
                      {Output::lse, (1 * 6 + 5) * 4 + 3, "lse[b=1, h=5, i=3]"}};
  for (const Row& row : rows) {
    Outcome outcome = right_outcome(c);
    outcome.steps[0].more[row.output].as<float>()[row.at] += 1;
    const Verdict verdict = judged(c, outcome);
    EXPECT_EQ(verdict.failure, FailureKind::mismatch);
    EXPECT_EQ(verdict.worst.output, row.output);
    EXPECT_NE(verdict.detail.find(std::string(row.place) + " is "), std::string::npos)
        << verdict.detail;
  }
}

TEST(Judge, NamesTheFaultOfABackwardPass) {
  const Case c = backward_case();
  const Answer wrong =
      faulty_answer(*find_fault("dk-not-scaled"), c, make_inputs(c), precision).value();
  const Verdict verdict = judged(c, outcome_of(c, wrong));
  ASSERT_EQ(verdict.fits.size(), 1u);
  EXPECT_EQ(verdict.fits[0]->name, "dk-not-scaled");
}

TEST(Examine, SeesThatOtherRowsMatter) {
  const auto naive = open_target("cpu:naive");
  const auto depends_on_batch = [&](const Case& c, const Inputs& inputs) {
    Outcome outcome = naive->run(c, inputs);
    if (c.problem.batch > 2) outcome.steps[0].out.as<uint32_t>()[0] ^= 1;  // an ulp
    return outcome;
  };
  Case c;
  c.problem.batch = 3;
  const auto verdict = [&](std::string_view properties) {
    testing::FunctionTarget target(
        fmt::format(R"({{"sizes": {{"batch": [1, 4]}}, "features": ["dtype:f32", "layout:bhsd"],
                        "properties": [{}]}})",
                    properties),
        depends_on_batch);
    return examine(target, c, true).verdict;
  };
  EXPECT_EQ(verdict("\"deterministic\"").kind, VerdictKind::pass);
  const Verdict broken = verdict("\"deterministic\", \"batch_invariant\"");
  EXPECT_EQ(broken.failure, FailureKind::nondeterminism);
  EXPECT_NE(broken.detail.find("with the first row alone"), std::string::npos) << broken.detail;
  c.problem.batch = 2;
  EXPECT_EQ(verdict("\"batch_invariant\"").kind, VerdictKind::pass);
}

/// cpu:naive, an ulp off where more than two threads work.
class ThreadedTarget : public Target {
 public:
  explicit ThreadedTarget(std::string_view properties) : naive_(open_target("cpu:naive")) {
    info_.capabilities = parse_capabilities(
        fmt::format(R"({{"features": ["dtype:f32", "layout:bhsd"], "properties": [{}]}})",
                    properties),
        "test");
  }
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = naive_->run(c, inputs);
    if (threads_ > 2) outcome.steps[0].out.as<uint32_t>()[0] ^= 1;
    return outcome;
  }
  void use_threads(int count) override { threads_ = count; }
  int threads_ = 1;

 private:
  std::unique_ptr<Target> naive_;
  TargetInfo info_;
};

TEST(Examine, SeesThatOtherThreadCountsGiveOtherBits) {
  ThreadedTarget silent("\"deterministic\""), claims("\"thread_invariant\"");
  EXPECT_EQ(examine(silent, {}, true).verdict.kind, VerdictKind::pass);
  const Verdict broken = examine(claims, {}, true).verdict;
  EXPECT_EQ(broken.failure, FailureKind::nondeterminism);
  EXPECT_NE(broken.detail.find("on three"), std::string::npos) << broken.detail;
  EXPECT_EQ(claims.threads_, 1);
}

TEST(Examine, SeesThatTwoRunsDiffer) {
  int runs = 0;
  const auto naive = open_target("cpu:naive");
  testing::FunctionTarget target(
      R"({"features": ["dtype:f32", "layout:bhsd"]})", [&](const Case& c, const Inputs& inputs) {
        Outcome outcome = naive->run(c, inputs);
        outcome.steps[0].out.as<uint32_t>()[0] ^= static_cast<uint32_t>(runs++ & 1);  // an ulp
        return outcome;
      });
  EXPECT_EQ(examine(target, {}).verdict.kind, VerdictKind::pass);
  EXPECT_EQ(examine(target, {}, true).verdict.failure, FailureKind::nondeterminism);
}

/// The longer campaign is tools/nightly's.
TEST(Examine, NoFalseAlarmOnTheNaiveTarget) {
  const auto target = open_target("cpu:naive");
  const Generator generator(target->info().capabilities);
  for (uint64_t index = 0; index < 3000 / testing::each_nth; ++index) {
    const Case c = generator(*seeded_draw(20, index));
    const Examination examined = examine(*target, c);
    EXPECT_EQ(examined.verdict.kind, VerdictKind::pass)
        << index << ": " << one_line(c) << ": " << examined.verdict.detail;
  }
}

}  // namespace
}  // namespace attnfuzz
