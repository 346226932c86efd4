#include "reports/diagnose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "reports/sample_findings.h"

namespace attnfuzz {
namespace {

using samples::small_case;

TEST(Diagnose, MaskMadeAlongTheWrongAxis) {
  const auto causes = diagnose(samples::error_finding(small_case(), samples::kMaskAxisText));
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].name, "mask-axis");
  EXPECT_EQ(
      causes[0].words,
      "Two tensors are combined elementwise though axis 0 is q_len=8 in the first and batch=2 "
      "in the second: tensor a (q_len=8) must match tensor b (batch=2). Likely, a mask made "
      "along the query axis (q_len=8) is combined with a tensor whose first axis is batch "
      "(batch=2): the mask was given or indexed without its batch axis.");
}

TEST(Diagnose, WindowIgnored) {
  const Case c = samples::window_case();
  Case meant = c;
  meant.problem.mask.rules.pop_back();
  const auto causes = diagnose(samples::as_if(c, meant));
  ASSERT_FALSE(causes.empty());
  EXPECT_TRUE(std::any_of(causes.begin(), causes.end(),
                          [](const Cause& cause) { return cause.name == "window-ignored"; }));
  EXPECT_EQ(causes[0].words.rfind("The output equals what you get if ", 0), 0u) << causes[0].words;
}

TEST(Diagnose, SeveralMeaningsAreSaidSo) {
  Finding f = samples::mismatch_finding(small_case(), [](auto...) { return true; });
  ASSERT_GE(faults().size(), 3u);
  const Fault* all[] = {&faults()[0], &faults()[1], &faults()[2]};
  f.last.verdict.fits = {all[0], all[1], all[2]};
  f.first.verdict.fits = {all[1]};
  auto causes = diagnose(f);
  ASSERT_EQ(causes.size(), 3u);
  EXPECT_EQ(causes[0].name, all[1]->name);  // the one that the original case has too
  EXPECT_EQ(causes[0].words.find("smallest case only"), std::string::npos) << causes[0].words;
  EXPECT_NE(causes[1].words.find("fits the smallest case only"), std::string::npos)
      << causes[1].words;
}

TEST(Diagnose, APrecisionShowsInEveryStep) {
  const Case c = samples::cached_case();
  Outcome outcome = samples::right_outcome(c);
  const auto round = [&outcome](size_t step) {
    Tensor& out = outcome.steps[step].out;
    const Tensor narrow = Tensor::from_doubles(DType::bf16, out.shape, out.to_doubles());
    out = Tensor::from_doubles(out.dtype, out.shape, narrow.to_doubles());
  };
  round(1);
  const auto one = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(one.empty());
  EXPECT_NE(one[0].name, "lower-precision");
  round(0);
  const auto both = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(both.empty());
  EXPECT_EQ(both[0].name, "lower-precision");
}

TEST(Diagnose, WeightsThatAreFlushed) {
  Case c;
  Problem& p = c.problem;
  p.batch = p.num_heads = p.num_kv_heads = 1;
  p.q_len = p.kv_len = 4;
  p.head_dim = p.head_dim_v = 2;
  p.dtype = DType::f32;
  c.data.dist = Distribution::one_hot;
  constexpr double scale = 90;  // exp(-90) is subnormal in float
  p.scale = scale;
  Outcome outcome = samples::right_outcome(c);
  Tensor& out = outcome.steps[0].out;
  std::vector<double> values = out.to_doubles();
  int flushed = 0;
  for (double& value : values)
    if (value != 0 && std::abs(value) < 0x1p-126) {
      value = 0;
      ++flushed;
    }
  ASSERT_GT(flushed, 0);
  out = Tensor::from_doubles(out.dtype, out.shape, values);
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].name, "weights-flushed");
}

TEST(Diagnose, AnErrorAsLargeAsTheValuesIsNoPrecision) {
  Case c = small_case();
  c.problem.q_len = c.problem.kv_len = 2;
  c.problem.head_dim = c.problem.head_dim_v = 2;
  Case other = c;
  other.data.seed += 1;
  Finding f = samples::as_if(c, other);
  f.first.precision.exp_ulps = f.last.precision.exp_ulps = 20;
  for (const Cause& cause : diagnose(f)) EXPECT_NE(cause.name, "lower-precision") << cause.words;
}

TEST(Diagnose, OnlyTheFirstKeyHeadIsFound) {
  Case c = small_case();
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  const auto causes = diagnose(
      samples::mismatch_finding(c, [](int64_t b, int64_t h, auto...) { return b > 0 || h > 1; }));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].name, "heads-not-first-key-head");
}

/// A case whose output is NaN where it should not be.
Finding nan_finding(NonFinite data) {
  Finding f = samples::mismatch_finding(small_case(), [](auto...) { return true; });
  f.last.verdict.failure = FailureKind::nan;
  f.last.verdict.fits.clear();
  f.shrunk.c.data.nonfinite = data;
  return f;
}

TEST(Diagnose, DataThatIsNotFiniteHasWordsOfItsOwn) {
  const std::pair<NonFinite, std::string> rows[] = {{NonFinite::nan_padding, "nan-leak"},
                                                    {NonFinite::inf_padding, "inf-leak"},
                                                    {NonFinite::inf_value, "inf-value"},
                                                    {NonFinite::inf_bias, "inf-bias"}};
  for (const auto& [data, name] : rows) {
    const auto causes = diagnose(nan_finding(data));
    ASSERT_FALSE(causes.empty()) << name;
    EXPECT_EQ(causes[0].name, name);
  }
}

TEST(Diagnose, DecaysThatAreNothingTogether) {
  for (const int64_t len : {4, 200}) {
    Finding f = nan_finding(NonFinite::none);
    Problem& p = f.shrunk.c.problem;
    p.kind = ProblemKind::linear;
    p.mask.rules = {{find_rule("causal"), {}}};
    p.q_len = p.kv_len = len;
    ASSERT_NO_THROW(check(f.shrunk.c));
    const auto causes = diagnose(f);
    EXPECT_EQ(!causes.empty() && causes[0].name == "decay-overflow", len == 200);
  }
}

TEST(Diagnose, AMeaningComesBeforeInfiniteValues) {
  Finding f = nan_finding(NonFinite::inf_value);
  f.last.verdict.fits = {&faults()[0]};
  const auto causes = diagnose(f);
  ASSERT_EQ(causes.size(), 2u);
  EXPECT_EQ(causes[0].name, faults()[0].name);
  EXPECT_EQ(causes[1].name, "inf-value");
}

TEST(Diagnose, OffsetFromTheHeadAxis) {
  const Case c = samples::cached_case();
  Outcome outcome = samples::right_outcome(c);
  outcome.steps[0].lengths = {4, 4};  // num_heads, where q_len is 7
  outcome.steps[1].lengths = {8, 8};
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].name, "length-heads");
  EXPECT_EQ(causes[0].words,
            "In step 0 (prefill), the cache grew by num_heads=4 instead of q_len=7 tokens: the "
            "offset is taken from the head axis.");
}

TEST(Diagnose, OffsetInABuffer) {
  Case c = samples::cached_case();  // prefill of 7, then 1 token
  c.cache = Cache{CacheKind::fixed, 9, 0};
  c.steps = {{StepOp::prefill, 2, {}, {}, 0}, {StepOp::append, 6, {}, {}, 0}};
  Outcome outcome = samples::right_outcome(c);
  outcome.steps.pop_back();
  outcome.status = Status::error;
  outcome.text =
      "The expanded size of the tensor (5) must match the existing size (6) at "
      "non-singleton dimension 2";
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(
      causes[0].words,
      "In step 1 (append), q_len=6 tokens are written from position 4 on into a buffer of "
      "capacity=9, where past_len=2 are: the offset is taken from the head axis (num_heads).");
}

TEST(Diagnose, TheOriginalCaseTellsLengthsApart) {
  const Case original = samples::cached_case();
  Outcome first = samples::right_outcome(original);
  first.steps[0].lengths = {4, 4};  // num_heads each time
  first.steps[1].lengths = {8, 8};
  Finding f = samples::finding(original, first);
  f.shrunk.c.problem.num_heads = f.shrunk.c.problem.num_kv_heads = f.shrunk.c.problem.batch = 1;
  f.last.outcome = samples::right_outcome(f.shrunk.c);
  f.last.outcome.steps[0].lengths = {1};
  f.last.outcome.steps[1].lengths = {2};
  const auto causes = diagnose(f);
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].name, "length-heads");
}

TEST(Diagnose, CasesNearItTellLengthsApart) {
  Case c = samples::cached_case();
  c.problem.num_heads = c.problem.num_kv_heads = c.problem.batch = 1;
  Outcome outcome = samples::right_outcome(c);
  outcome.steps[0].lengths = {1};
  outcome.steps[1].lengths = {2};
  Finding f = samples::finding(c, outcome);
  ASSERT_GE(diagnose(f).size(), 3u);
  f.learned.numbers = {{{}, 1}};
  EXPECT_EQ(diagnose(f).at(0).name, "length-one");
  f.learned.numbers = {{{"num_kv_heads"}, {}}};
  EXPECT_EQ(diagnose(f).at(0).name, "length-kv-heads");
}

TEST(Diagnose, ALengthThatIsTheCapacity) {
  Case c = samples::cached_case();
  c.cache = Cache{CacheKind::fixed, 9};
  c.steps = {{.op = StepOp::reset, .lens = {}, .rows = {}}};
  Outcome outcome = samples::right_outcome(c);
  outcome.steps[0].lengths = {9, 9};
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].name, "length-capacity");
}

TEST(Diagnose, AResetThatLeavesTokens) {
  Case c = samples::cached_case();
  c.steps = {{StepOp::prefill, 3, {}, {}, 0},
             {StepOp::reset, 0, {}, {}, 0},
             {StepOp::prefill, 2, {}, {}, 0}};
  Outcome outcome = samples::right_outcome(c);
  outcome.steps[2].lengths = {4, 4};  // num_heads, too: but the first step's was right
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].words,
            "In step 2 (prefill), row 0 reports 4 tokens where 2 should be cached since the reset "
            "of step 1: the reset leaves 2 of the 3 before it.");
}

TEST(Diagnose, OtherLengths) {
  const Case c = samples::cached_case();
  const auto cause = [&](std::vector<int64_t> after_prefill, std::vector<int64_t> after_decode) {
    Outcome outcome = samples::right_outcome(c);
    outcome.steps[0].lengths = std::move(after_prefill);
    outcome.steps[1].lengths = std::move(after_decode);
    return diagnose(samples::finding(c, outcome)).at(0);
  };
  EXPECT_EQ(cause({14, 14}, {15, 15}).name, "length-batch");  // batch·q_len = 2·q_len: both said
  EXPECT_EQ(
      cause({2, 2}, {4, 4}).words.find("In step 0 (prefill), the cache grew by num_kv_heads=2"),
      0u);
  EXPECT_EQ(cause({7, 7}, {7, 7}).name, "length-stale");
  EXPECT_EQ(cause({7, 7}, {1, 1}).name, "length-replaced");
  EXPECT_EQ(cause({7, 6}, {8, 8}).name, "length");
  EXPECT_EQ(cause({7, 6}, {8, 8}).words,
            "In step 0 (prefill), row 1 reports 6 tokens where 7 are cached.");
}

std::set<std::string> names(const std::vector<Cause>& causes) {
  std::set<std::string> all;
  for (const Cause& cause : causes) all.insert(cause.name);
  return all;
}

TEST(Diagnose, WhereTheErrorLies) {
  const auto located = [](auto wrong) {
    Finding f = samples::mismatch_finding(small_case(), wrong);
    f.last.verdict.fits.clear();
    return diagnose(f);
  };
  const auto head = located([](auto, auto h, auto, auto) { return h == 2; });
  EXPECT_EQ(head.back().words, "256 of 1024 elements are wrong: head 2 (0 to 3 were checked).");
  const auto rows = located([](auto b, auto, auto i, auto) { return b == 1 && i >= 4; });
  EXPECT_TRUE(names(rows).count("tile-start"));
  EXPECT_EQ(
      rows.back().words,
      "256 of 1024 elements are wrong: batch row 1 (0 to 1 were checked) and query 4 and after.");
  const auto everywhere = located([](auto...) { return true; });
  EXPECT_EQ(everywhere.back().words,
            "1024 of 1024 elements are wrong, in every batch row, head and query.");
}

TEST(Diagnose, PartialTile) {
  Case c = small_case();
  c.problem.q_len = 19;
  Finding f = samples::mismatch_finding(c, [](auto, auto, auto i, auto) { return i >= 16; });
  f.last.verdict.fits.clear();
  const auto causes = diagnose(f);
  EXPECT_EQ(causes.at(0).name, "partial-tile");
  EXPECT_EQ(causes[0].words,
            "Along query only the last, partial tile is wrong (16 to 18, if tiles are 16): its "
            "bound check or padding.");
}

TEST(Diagnose, RowsWithPadding) {
  const Case c = small_case(
      R"({"align":"top_left","rules":[{"rule":"padding","side":"right","lens":[11,6]}]})");
  Finding f = samples::mismatch_finding(c, [](auto b, auto...) { return b == 1; });
  f.last.verdict.fits.clear();
  const auto causes = diagnose(f);
  EXPECT_EQ(causes.at(0).words, "The wrong rows are exactly those of batch rows with padding.");
}

TEST(Diagnose, ACrashHasACauseToo) {
  const auto causes =
      diagnose(samples::finding(small_case(), Outcome{Status::crash, "killed by signal 11", {}}));
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].name, "process-died");
}

TEST(Diagnose, AnExitIsNoCrash) {
  const auto cause = [](const char* text) {
    return diagnose(samples::finding(small_case(), Outcome{Status::crash, text, {}})).at(0).name;
  };
  EXPECT_EQ(cause("exited with code 0"), "process-exited");
  EXPECT_EQ(cause("exited with code 1\nTraceback (most recent call last):"), "process-exited");
  EXPECT_EQ(cause("not a worker's reply: expected a JSON object"), "worker-reply");
  EXPECT_EQ(cause("killed by SIGSEGV (Segmentation fault)\nhello"), "process-died");
}

TEST(Diagnose, RowsThatAreNeverWritten) {
  const Case c = small_case();
  Outcome outcome = samples::right_outcome(c);
  Tensor& out = outcome.steps[0].out;
  std::fill(out.bytes.end() - 64, out.bytes.end(), std::byte{0xFF});  // the last row
  const auto causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].name, "never-written");
  EXPECT_EQ(causes.back().name, "location");
  std::fill_n(out.as<float>() + out.size() - 16, 16, std::nanf(""));  // a NaN that was written
  EXPECT_NE(diagnose(samples::finding(c, outcome)).at(0).name, "never-written");
}

/// A case of which the last query is wrong, and one that it shrinks to.
Finding last_query_wrong(const Case& original, const Case& shrunk) {
  const auto last_of = [](const Case& c) {
    const int64_t last = c.problem.q_len - 1;
    return samples::mismatch_finding(c, [last](auto, auto, auto i, auto) { return i == last; });
  };
  Finding f = last_of(shrunk);
  f.last.verdict.fits.clear();
  f.original = original;
  f.first = last_of(original).first;
  return f;
}

TEST(Diagnose, WhatTheShrunkCaseRefutesIsNotSaid) {
  Case original = small_case(R"({"align":"bottom_right","rules":[{"rule":"causal"}]})");
  original.problem.q_len = original.problem.kv_len = 31;
  Case shrunk = small_case();
  shrunk.problem.q_len = shrunk.problem.kv_len = 17;
  const auto causes = diagnose(last_query_wrong(original, shrunk));
  ASSERT_FALSE(causes.empty());
  EXPECT_FALSE(names(causes).count("rows-last-key"));
  EXPECT_FALSE(names(causes).count("partial-tile"));  // 24 to 30 is not what is wrong
  EXPECT_EQ(causes[0].words, "The wrong rows are exactly those of the last query.");
  EXPECT_EQ(causes.back().words,
            "In the case as first found (" + one_line(original) +
                "), 128 of 3968 elements are wrong: query 30 (0 to 30 were checked).");
  original.problem.q_len = original.problem.kv_len = 9;
  EXPECT_EQ(diagnose(last_query_wrong(original, shrunk))[0].name, "partial-tile");  // of 8
  shrunk.problem.q_len = 2;
  EXPECT_FALSE(names(diagnose(last_query_wrong(original, shrunk))).count("partial-tile"));
}

TEST(Diagnose, TheTableNamesEveryCauseOnce) {
  const auto table = cause_table();
  EXPECT_GT(table.size(), 60u);
  for (const CauseEntry& entry : table) {
    EXPECT_FALSE(entry.name.empty());
    EXPECT_FALSE(entry.words.empty()) << entry.name;
  }
}

TEST(Diagnose, SaysWhereAGradientIsWrong) {
  Case c = samples::small_case();
  c.problem.outputs = {Output::out, Output::dk};
  Outcome outcome = samples::right_outcome(c);
  // dk [2, 2, 11, 16]: key 3 of every head and row.
  for (int64_t head = 0; head < 4; ++head)
    for (int64_t d = 0; d < 16; ++d)
      outcome.steps[0].more[Output::dk].as<float>()[(head * 11 + 3) * 16 + d] += 1;
  const std::vector<Cause> causes = diagnose(samples::finding(c, outcome));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes.back().name, "location");
  EXPECT_EQ(causes.back().words,
            "64 of 704 elements of dk are wrong: key 3 (0 to 10 were checked).");
}

TEST(Diagnose, NamesWhatABackwardPassForgot) {
  Case c = samples::small_case(R"({"align":"top_left","rules":[{"rule":"causal"}]})");
  c.problem.softcap = 2;
  c.problem.outputs = {Output::out, Output::dq, Output::dk};
  const Answer wrong =
      faulty_answer(*find_fault("grad-without-softcap-slope"), c, make_inputs(c), Precision{})
          .value();
  const std::vector<Cause> causes = diagnose(samples::finding(c, samples::outcome_of(c, wrong)));
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].name, "grad-without-softcap-slope");
}

}  // namespace
}  // namespace attnfuzz
