#include "fuzz/shrink.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "fuzz/arbitrary.h"
#include "fuzz/campaign.h"
#include "fuzz/testing.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

/// Claims all that the case format has.
Capabilities everything() {
  Capabilities all = open_target("cpu:naive")->info().capabilities;
  all.features = feature_words();
  all.sizes["steps"] = {0, 6, 1};
  all.sizes["capacity"] = {0, 64, 1};
  all.sizes["page_size"] = {0, 16, 1};
  return all;
}

TEST(Reductions, AreValidAndLighter) {
  EXPECT_TRUE(rc::check([] {
    const Case c = *arbitrary_case(everything());
    RC_LOG() << one_line(c) << "\n";
    for (const Reduction& reduction : reductions(c)) {
      RC_LOG() << reduction.words << "\n";
      check(reduction.c);
      RC_ASSERT(weight(reduction.c) < weight(c));
    }
  }));
}

bool offers(const Case& c, const std::function<bool(const Case&)>& is_it) {
  const std::vector<Reduction> all = reductions(c);
  return std::any_of(all.begin(), all.end(), [&](const Reduction& each) { return is_it(each.c); });
}

TEST(Reductions, LeaveOneStepOrOneOutputAlone) {
  Case cached;
  cached.problem.q_len = cached.problem.kv_len = 0;
  cached.cache = Cache{};
  cached.steps = {{.op = StepOp::prefill, .q_len = 1, .lens = {}, .rows = {}},
                  {.op = StepOp::evict, .lens = {}, .rows = {}, .count = 1},
                  {.op = StepOp::append, .q_len = 2, .lens = {}, .rows = {}}};
  EXPECT_TRUE(offers(cached, [](const Case& c) {
    return c.steps.size() == 1 && c.steps[0].op == StepOp::prefill && c.steps[0].q_len == 2;
  }));
  Case gradients;
  gradients.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv};
  for (const Output wanted : {Output::dq, Output::dk, Output::dv})
    EXPECT_TRUE(offers(gradients, [&](const Case& c) {
      return c.problem.outputs == std::vector<Output>{Output::out, wanted};
    }));
}

/// What is tried on the way from a long case to a short one costs little more than the case itself.
TEST(Shrink, LongCasesLeadToShortOnesInBigSteps) {
  Case c;
  c.problem.num_heads = 32;
  c.problem.num_kv_heads = 8;
  c.problem.q_len = c.problem.kv_len = 512;
  c.problem.head_dim = c.problem.head_dim_v = 256;
  ASSERT_TRUE(is_long(c));
  double tried = 0;
  const Shrunk shrunk = shrink(c, [&](const Case& candidate) {
    tried += work(candidate);
    return candidate.problem.kv_len > 64 && candidate.problem.num_heads > 1;
  });
  EXPECT_TRUE(shrunk.minimal);
  EXPECT_EQ(shrunk.c.problem.kv_len, 65);
  EXPECT_EQ(shrunk.c.problem.num_heads, 2);
  EXPECT_LT(tried, work(c) / 4);
}

TEST(Shrink, EverythingFailsGivesThePlainestCase) {
  EXPECT_TRUE(rc::check([] {
    const Case c = *arbitrary_case(everything());
    const Shrunk shrunk = shrink(c, [](const Case&) { return true; });
    RC_LOG() << one_line(c) << " → " << one_line(shrunk.c) << "\n";
    RC_ASSERT(shrunk.minimal);
    RC_ASSERT(reductions(shrunk.c).empty());
    RC_ASSERT(shrunk.c.problem.mask.rules.empty());
    RC_ASSERT(shrunk.c.problem.head_dim == 1);
    RC_ASSERT(shrunk.c.data == Data{});
  }));
}

/// A case that needs three things, each of which has a least form.
TEST(Shrink, IsMinimalAndDeterministic) {
  const auto fails = [](const Case& c) {
    return c.problem.kv_len >= 3 && c.problem.num_heads >= 2 && c.problem.softcap > 0;
  };
  EXPECT_TRUE(rc::check([&] {
    Case c = *arbitrary_case(open_target("cpu:naive")->info().capabilities);
    c.problem.softcap = 2;
    RC_PRE(fails(c));
    const Shrunk shrunk = shrink(c, fails), again = shrink(c, fails);
    RC_ASSERT(shrunk.c == again.c);
    RC_ASSERT(shrunk.history == again.history);
    RC_ASSERT(shrunk.minimal);
    RC_ASSERT(fails(shrunk.c));
    for (const Reduction& reduction : reductions(shrunk.c)) RC_ASSERT(!fails(reduction.c));
    RC_ASSERT(shrunk.c.problem.kv_len == 3);
    RC_ASSERT(shrunk.c.problem.q_len <= 1);  // 0 where it was
    RC_ASSERT(shrunk.c.problem.num_heads == 2);
    RC_ASSERT(shrunk.c.problem.softcap == 1);
  }));
}

TEST(Shrink, StopsAtItsBudget) {
  Case c;
  c.problem.q_len = c.problem.kv_len = 1000;
  const Shrunk shrunk = shrink(
      c, [](const Case&) { return false; }, 3);
  EXPECT_EQ(shrunk.tried, 3);
  EXPECT_FALSE(shrunk.minimal);
  EXPECT_EQ(shrunk.c, c);
}

TEST(ShrinkFinding, KeepsTheNamedAxesApart) {
  // The mask is made for the batch where q_len is meant.
  const auto target = testing::failing([](const Case& c) {
    const Problem& p = c.problem;
    if (p.mask.find("window") == nullptr || p.batch == 1 || p.batch == p.q_len)
      return std::string();
    return "The size of tensor a (" + std::to_string(p.q_len) +
           ") must match the size of tensor b (" + std::to_string(p.batch) +
           ") at non-singleton dimension 0";
  });
  CampaignOptions options;
  options.cases = 400;
  std::vector<Finding> findings;
  const CampaignStats stats =
      run_campaign(*target, options, {{}, [&](const Finding& f) { findings.push_back(f); }});
  ASSERT_EQ(findings.size(), 1U);
  const Finding& f = findings[0];
  EXPECT_EQ(stats.failed, stats.signatures.at(f.signature));
  EXPECT_TRUE(f.shrunk.minimal);
  // As small as the text's numbers still name one axis each: 2 heads of 2 would be a hidden size of
  // 4, the batch.
  EXPECT_LE(f.shrunk.c.problem.head_dim, 3) << one_line(f.shrunk.c);
  EXPECT_EQ(f.shrunk.c.problem.mask.rules.size(), 1U);
  const std::string words = annotate(f.last.verdict.detail, f.shrunk.c, &f.learned);
  EXPECT_NE(words.find("tensor a (q_len="), std::string::npos) << words;
  EXPECT_NE(words.find("tensor b (batch="), std::string::npos) << words;
}

TEST(ShrinkFinding, StaysInsideTheClaims) {
  const auto target = testing::failing(
      [](const Case& c) { return c.problem.num_heads > 2 ? "too many heads" : std::string(); });
  CampaignOptions options;
  options.cases = 30;
  int found = 0;
  run_campaign(*target, options,
               {{}, [&](const Finding& f) {
                  ++found;
                  EXPECT_EQ(target->info().capabilities.rejection_reason(f.shrunk.c), "");
                  EXPECT_LE(f.shrunk.c.problem.num_heads, 4);
                }});
  EXPECT_EQ(found, 1);
}

/// A device makes a new process wait for seconds.
TEST(ShrinkFinding, EndsAfterSoManyEndedProcesses) {
  int ended = 0;
  Finding finding;
  testing::FunctionTarget target(
      R"({"sizes": {"batch": [1, 8], "num_heads": [1, 8], "num_kv_heads": [1, 8],
                    "q_len": [1, 100], "kv_len": [1, 100], "head_dim": [1, 64],
                    "head_dim_v": [1, 64]}, "features": ["dtype:f32", "layout:bhsd", "cross"]})",
      [&](const Case& c, const Inputs&) {
        ++ended;
        const bool same = c == finding.original;
        return Outcome{
            Status::error, same ? "unspecified launch failure" : "misaligned address", {}, true};
      });
  finding.original.problem.q_len = finding.original.problem.kv_len = 100;
  finding.original.problem.head_dim = finding.original.problem.head_dim_v = 64;
  finding.original.problem.batch = 5;
  finding.original.problem.num_heads = finding.original.problem.num_kv_heads = 7;
  finding.first = examine(target, finding.original);
  ended = 0;
  shrink_finding(target, finding, 20000);
  EXPECT_GE(ended, 24);
  EXPECT_LE(ended, 26);
  EXPECT_FALSE(finding.shrunk.minimal);
}

Finding first_finding(const std::string& target, uint64_t seed = 1) {
  CampaignOptions options;
  options.seed = seed;
  options.stop_after = 1;
  Finding first;
  run_campaign(*open_target(target), options, {{}, [&](const Finding& f) { first = f; }});
  return first;
}

/// The first one, of the campaigns with seeds 1, 2, 3 …, whose case holds a NaN or an infinity.
Finding first_nonfinite_finding(const std::string& target) {
  for (uint64_t seed = 1; seed < 40; ++seed)
    if (Finding found = first_finding(target, seed);
        found.original.data.nonfinite != NonFinite::none)
      return found;
  return first_finding(target);
}

std::vector<std::string_view> meanings(const Finding& finding) {
  std::vector<std::string_view> names;
  for (const Fault* fit : finding.last.verdict.fits) names.push_back(fit->name);
  return names;
}

/// Small cases have more meanings than the one that is sought, and are the same failure all the
/// same.
TEST(ShrinkFinding, GoesOnWhereMoreMeaningsFit) {
  const std::pair<std::string_view, std::string> rows[] = {
      {"causal-one-less", "b1 h1 q1 kv1 d1 f32 causal"},
      {"last-key-dropped", "b1 h1 q1 kv2 d1 f32"}};
  for (const auto& [mutant, smallest] : rows) {
    const Finding found = first_finding("mutant:" + std::string(mutant));
    EXPECT_EQ(one_line(found.shrunk.c), smallest);
    EXPECT_TRUE(found.shrunk.minimal);
    EXPECT_GT(meanings(found).size(), 1U) << mutant;
  }
}

/// NaN that came through hidden keys is a leak only if finite data there makes no difference.
TEST(ShrinkFinding, TellsALeakFromAMaskThatIsWrong) {
  const Finding seen = first_nonfinite_finding("mutant:padding-ignored");
  EXPECT_NE(seen.original.data.nonfinite, NonFinite::none);
  EXPECT_EQ(seen.shrunk.c.data.nonfinite, NonFinite::none);
  const std::vector<std::string_view> fits = meanings(seen);
  EXPECT_TRUE(std::ranges::find(fits, "padding-ignored") != fits.end());
  const Finding weighed = first_nonfinite_finding("mutant:hidden-keys-weighed");
  EXPECT_NE(weighed.shrunk.c.data.nonfinite, NonFinite::none);
  EXPECT_TRUE(meanings(weighed).empty());
  EXPECT_EQ(weighed.last.verdict.failure, FailureKind::nan);
  const Finding overflow = first_nonfinite_finding("mutant:max-not-subtracted");
  EXPECT_NE(overflow.original.data.nonfinite, NonFinite::none);
  EXPECT_EQ(overflow.shrunk.c.data.nonfinite, NonFinite::none);
}

}  // namespace
}  // namespace attnfuzz
