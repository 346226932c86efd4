#include "fuzz/measure/measure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include "fuzz/generate.h"
#include "fuzz/measure/bug.h"
#include "fuzz/measure/cases_for_tests.h"
#include "fuzz/measure/finding.h"
#include "fuzz/measure/places.h"
#include "fuzz/measure/reading.h"
#include "fuzz/measure/relate.h"
#include "fuzz/measure/where.h"
#include "fuzz/testing.h"
#include "oracle/sample.h"
#include "oracle/test_cases.h"
#include "oracle/work.h"

namespace attnfuzz::measure {
namespace {

using testing::windowed;

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 40], "head_dim": [1, 16], "head_dim_v": [1, 16], "steps": [0, 6]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "head_dim_v", "rule:causal",
               "rule:window", "rule:prefix", "softcap", "align:bottom_right", "cache:dynamic", "step:prefill", "step:append",
               "step:decode", "step:reorder", "fully_masked:zero", "scale"]
})";

/// Computes right, but another case than it is asked.
FunctionTarget misled(std::function<Case(Case)> change) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  return FunctionTarget(capabilities, [naive, change](const Case& c, Inputs inputs) {
    const Case other = change(c);
    if (inputs.find("mask") != nullptr) {  // which has the rules folded in
      const Inputs made = make_inputs(other);
      Tensor mask = inputs.at("mask");
      std::fill(mask.bytes.begin(), mask.bytes.end(), std::byte{1});
      if (const Tensor* folded = made.find("mask")) mask = *folded;
      inputs.replace("mask", mask);
    }
    return naive->run(other, inputs);
  });
}

Measurement measured(Target& target, const Case& c) {
  Budget budget(2000, 60);
  return measure(target, std::array{c}, budget);
}

TEST(Ranges, JoinsNeighbours) {
  EXPECT_EQ(ranges({0, 1, 2, 3, 5, 8, 7}), "0–3, 5, 7, 8");
}

TEST(Measure, SeesNothingWhereTheTargetIsRight) {
  for (const char* name :
       {"cpu:naive", "cpu:tiled", "cpu:split-kv", "cpu:fp8", "cpu:dense-cache", "cpu:paged-cache",
        "cpu:ring-cache", "cpu:hybrid-cache", "cpu:sink-window-cache", "cpu:quantised-cache",
        "cpu:cross-cache", "cpu:linear-recurrent"}) {
    const std::unique_ptr<Target> target = open_target(name);
    const Generator generator(target->info().capabilities);
    for (uint64_t index = 0; index < 12 / attnfuzz::testing::each_nth; ++index) {
      const std::unique_ptr<Draw> draw = seeded_draw(3, index);
      const Case c = generator(*draw);
      const Measurement seen = measured(*target, c);
      EXPECT_TRUE(seen.statements.empty())
          << name << " " << one_line(c) << ": " << seen.statements.front().words;
    }
  }
}

TEST(Measure, TellsAWindowOneKeyTooWide) {
  FunctionTarget target = misled([](Case c) {
    for (RuleUse& rule : c.problem.mask.rules)
      if (rule.spec->name == "window") rule.values[0] = rule.integer(0) + 1;
    return c;
  });
  const Measurement seen = measured(target, windowed());
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_NE(seen.statements[0].words.find(
                "hides by \"window\", exactly those with keys back from the query "
                "= 4"),
            std::string::npos)
      << seen.statements[0].words;
}

TEST(Measure, TellsValuesOfTheFirstRow) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  FunctionTarget target(capabilities, [naive](const Case& c, Inputs inputs) {
    Tensor v = inputs.at("v");
    const size_t row = v.bytes.size() / static_cast<size_t>(c.problem.batch);
    for (size_t n = row; n < v.bytes.size(); ++n) v.bytes[n] = v.bytes[n % row];
    inputs.replace("v", v);
    return naive->run(c, inputs);
  });
  const Measurement seen = measured(target, windowed());
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_NE(seen.statements[0].words.find("the token at the same place of row 0"),
            std::string::npos)
      << seen.statements[0].words;
  EXPECT_NE(seen.statements[0].words.find("exactly: batch row = 1"), std::string::npos);
}

TEST(Measure, TellsWhatAReorderDidNotMove) {
  Case c = windowed();
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.align = Align::top_left;
  c.problem.mask.rules = {attnfuzz::testing::use("causal")};
  c.cache = Cache{};
  c.steps.resize(3);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 4;
  c.steps[1].op = StepOp::reorder;
  c.steps[1].rows = {1, 1};
  c.steps[2].op = StepOp::decode;
  c.steps[2].q_len = 1;
  const std::shared_ptr<Target> dense = open_target("cpu:dense-cache");
  FunctionTarget target(capabilities, [dense](Case each, const Inputs& inputs) {
    each.steps[1].rows = {0, 1};
    return dense->run(each, inputs);
  });
  const Measurement seen = measured(target, c);
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_NE(seen.statements[0].words.find("0–3 of row 0, which no row holds any more"),
            std::string::npos)
      << seen.statements[0].words;
}

/// Computes right, with other tensors than it is given.
FunctionTarget misfed(const char* of, std::string_view claims,
                      std::function<void(const Case&, Inputs&)> change) {
  const std::shared_ptr<Target> right = open_target(of);
  return FunctionTarget(claims, [right, change](const Case& c, Inputs inputs) {
    change(c, inputs);
    return right->run(c, inputs);
  });
}

std::string first_words(const Measurement& seen) {
  return seen.statements.empty() ? "" : seen.statements.front().words;
}

TEST(Measure, TellsTheScaleAsANumber) {
  FunctionTarget target = misled([](Case c) {
    c.problem.scale = 1;
    return c;
  });
  const Measurement seen = measured(target, windowed());
  EXPECT_NE(first_words(seen).find("Scores are scaled by no scale (1)"), std::string::npos)
      << first_words(seen);
}

TEST(Measure, TellsAQueryThatIsReadAsZeros) {
  FunctionTarget target = misfed("cpu:naive", capabilities, [](const Case& c, Inputs& inputs) {
    Tensor q = inputs.at("q");
    for (int64_t n = 0; n < c.problem.head_dim; ++n) q.as<float>()[n + 3 * c.problem.head_dim] = 0;
    inputs.replace("q", q);
  });
  const Measurement seen = measured(target, windowed());
  EXPECT_NE(first_words(seen).find("is read as zeros"), std::string::npos) << first_words(seen);
  EXPECT_NE(first_words(seen).find("query = 3"), std::string::npos) << first_words(seen);
}

TEST(Measure, TellsAStateThatDecaysTwice) {
  const std::unique_ptr<Target> right = open_target("cpu:linear-recurrent");
  const std::string claims = write_capabilities(right->info().capabilities);
  FunctionTarget target = misfed("cpu:linear-recurrent", claims, [](const Case&, Inputs& inputs) {
    Tensor gate = inputs.at("gate");
    std::vector<double> values = gate.to_doubles();
    for (double& x : values) x *= 2;
    inputs.replace("gate", Tensor::from_doubles(gate.dtype, gate.shape, values));
  });
  Case c = windowed();
  c.problem.kind = ProblemKind::ssd;
  c.problem.kv_len = c.problem.q_len;
  c.problem.mask.rules = {attnfuzz::testing::use("causal")};
  c.problem.mask.align = Align::top_left;
  const Measurement seen = measured(target, c);
  EXPECT_NE(first_words(seen).find("A token decays the state twice by its gate"), std::string::npos)
      << first_words(seen);
}

TEST(Measure, TellsWhichBetaATokenHas) {
  const std::unique_ptr<Target> right = open_target("cpu:linear-recurrent");
  const std::string claims = write_capabilities(right->info().capabilities);
  const auto said = [&](const std::function<double(const std::vector<double>&, size_t)>& used) {
    FunctionTarget target =
        misfed("cpu:linear-recurrent", claims, [&](const Case&, Inputs& inputs) {
          const Tensor beta = inputs.at("beta");
          const std::vector<double> values = beta.to_doubles();
          std::vector<double> other;
          for (size_t n = 0; n < values.size(); ++n) other.push_back(used(values, n));
          inputs.replace("beta", Tensor::from_doubles(beta.dtype, beta.shape, other));
        });
    Case c = windowed();
    c.problem.kind = ProblemKind::delta;
    c.problem.kv_len = c.problem.q_len;
    c.problem.mask.rules = {attnfuzz::testing::use("causal")};
    c.problem.mask.align = Align::top_left;
    return first_words(measured(target, c));
  };
  EXPECT_EQ(said([](const auto& beta, size_t n) { return beta[n]; }), "");
  const std::string squared = said([](const auto& beta, size_t n) { return beta[n] * beta[n]; });
  EXPECT_NE(squared.find("with the square of its beta"), std::string::npos) << squared;
  const std::string turned =
      said([](const auto& beta, size_t n) { return beta[(3 * n + 1) % beta.size()]; });
  EXPECT_NE(turned.find("with the beta or the gate of another token"), std::string::npos) << turned;
}

TEST(Measure, TellsWhatAStepDoesNotHandOn) {
  const std::unique_ptr<Target> right = open_target("cpu:linear-recurrent");
  const std::string claims = write_capabilities(right->info().capabilities);
  // The token that begins a step takes back the decay of the step before it.
  FunctionTarget target = misfed("cpu:linear-recurrent", claims, [](const Case&, Inputs& inputs) {
    Tensor gate = inputs.at("gate.1");
    const std::vector<double> before = inputs.at("gate.0").to_doubles();
    std::vector<double> values = gate.to_doubles();
    const size_t heads = 2, rows = 2, tokens = before.size() / heads / rows;
    for (size_t n = 0; n < heads * rows; ++n)
      for (size_t i = 0; i < tokens; ++i) values[n] -= before[n * tokens + i];
    inputs.replace("gate.1", Tensor::from_doubles(gate.dtype, gate.shape, values));
  });
  Case c = windowed();
  c.problem.kind = ProblemKind::ssd;
  c.problem.num_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.rules = {attnfuzz::testing::use("causal")};
  c.problem.mask.align = Align::top_left;
  c.cache = Cache{};
  c.steps.resize(2);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 5;
  c.steps[1].op = StepOp::decode;
  c.steps[1].q_len = 1;
  ASSERT_EQ(target.info().capabilities.rejection_reason(c), "");
  const Measurement seen = measured(target, c);
  EXPECT_NE(first_words(seen).find("lacks the decay of the step's own gates"), std::string::npos)
      << first_words(seen);
}

TEST(Measure, TellsStepsThatBeginWithAnEmptyState) {
  const std::unique_ptr<Target> right = open_target("cpu:linear-recurrent");
  const std::string claims = write_capabilities(right->info().capabilities);
  // The first token of an append leaves nothing of the state.
  FunctionTarget target = misfed("cpu:linear-recurrent", claims, [](const Case& c, Inputs& inputs) {
    for (size_t s = 0; s < c.steps.size(); ++s) {
      if (c.steps[s].op != StepOp::append) continue;
      const std::string name = "gate." + std::to_string(s);
      const Tensor gate = inputs.at(name);
      std::vector<double> values = gate.to_doubles();
      const auto tokens = static_cast<size_t>(c.steps[s].q_len);
      for (size_t n = 0; n < values.size(); n += tokens) values[n] = -80;
      inputs.replace(name, Tensor::from_doubles(gate.dtype, gate.shape, values));
    }
  });
  Case c = windowed();
  c.problem.kind = ProblemKind::ssd;
  c.problem.num_heads = 2;
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.rules = {attnfuzz::testing::use("causal")};
  c.problem.mask.align = Align::top_left;
  c.cache = Cache{};
  const std::pair<StepOp, int64_t> steps[] = {{StepOp::prefill, 5}, {StepOp::decode, 1},
                                              {StepOp::append, 3},  {StepOp::decode, 1},
                                              {StepOp::append, 2},  {StepOp::decode, 1}};
  for (const auto& [op, q_len] : steps) {
    c.steps.emplace_back();
    c.steps.back().op = op;
    c.steps.back().q_len = q_len;
  }
  ASSERT_EQ(target.info().capabilities.rejection_reason(c), "");
  EXPECT_EQ(first_words(measured(target, c)),
            "The state is empty when a step begins: what earlier steps left is lost, exactly for "
            "queries in an append.");
}

TEST(Measure, TellsHeadsThatAreNeverWritten) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  FunctionTarget target(capabilities, [naive](const Case& c, const Inputs& inputs) {
    Outcome outcome = naive->run(c, inputs);
    Tensor& out = outcome.steps[0].out;
    const Problem& p = c.problem;
    const int64_t head = p.q_len * p.head_dim_v;
    for (int64_t b = 0; b < p.batch; ++b)
      std::fill_n(out.as<float>() + (b * p.num_heads + 2) * head, head, 0.0F);
    return outcome;
  });
  const Measurement seen = measured(target, windowed());
  EXPECT_NE(first_words(seen).find("The outputs of query heads 2 (of 4) are zeros"),
            std::string::npos)
      << first_words(seen);
}

TEST(Measure, TellsTheOrderInWhichGradOutIsRead) {
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  const std::string claims = write_capabilities(naive->info().capabilities);
  FunctionTarget target = misfed("cpu:naive", claims, [](const Case& c, Inputs& inputs) {
    const Problem& p = c.problem;
    const std::vector<double> given = inputs.at("grad_out").to_doubles();
    std::vector<double> read(given.size());
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t h = 0; h < p.num_heads; ++h)
        for (int64_t i = 0; i < p.q_len; ++i)
          for (int64_t d = 0; d < p.head_dim_v; ++d)
            read[static_cast<size_t>(((b * p.num_heads + h) * p.q_len + i) * p.head_dim_v + d)] =
                given[static_cast<size_t>(((b * p.q_len + i) * p.num_heads + h) * p.head_dim_v +
                                          d)];
    const Tensor& grad = inputs.at("grad_out");
    inputs.replace("grad_out", Tensor::from_doubles(grad.dtype, grad.shape, read));
  });
  Case c = windowed();
  c.problem.outputs = {Output::out, Output::dv};
  const Measurement seen = measured(target, c);
  EXPECT_NE(
      first_words(seen).find("reads grad_out in the order [batch, q_len, num_heads], where it "
                             "lies as [batch, num_heads, q_len]"),
      std::string::npos)
      << first_words(seen);
}

/// A right answer in double but for the softcap, which is x · tanh(x / cap).
TEST(Measure, TellsTheLawThatTakesASoftcapsPlace) {
  FunctionTarget target(capabilities, [](const Case& c, const Inputs& inputs) {
    const Problem& p = c.problem;
    const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles(),
                              v = inputs.at("v").to_doubles();
    Tensor out(p.dtype, {p.batch, p.num_heads, p.q_len, p.head_dim_v});
    const auto row = [](const std::vector<double>& of, int64_t n, int64_t dim) {
      return std::span(of).subspan(static_cast<size_t>(n * dim), static_cast<size_t>(dim));
    };
    for (int64_t n = 0; n < p.batch * p.num_heads * p.q_len; ++n) {
      const int64_t first = n / p.q_len * p.kv_len;  // as many KV heads as query heads
      std::vector<double> weighed(static_cast<size_t>(p.head_dim_v));
      double sum = 0;
      for (int64_t j = 0; j < p.kv_len; ++j) {
        const auto a = row(q, n, p.head_dim), b = row(k, first + j, p.head_dim);
        const double s = p.scale_value() * std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
        const double w = std::exp(s * std::tanh(s / p.softcap));
        sum += w;
        for (size_t d = 0; d < weighed.size(); ++d)
          weighed[d] += w * row(v, first + j, p.head_dim_v)[d];
      }
      for (size_t d = 0; d < weighed.size(); ++d)
        out.as<float>()[static_cast<size_t>(n) * weighed.size() + d] =
            static_cast<float>(weighed[d] / sum);
    }
    return Outcome{Status::ok, "", {{out, {}}}};
  });
  Case c = windowed();
  c.problem.num_kv_heads = c.problem.num_heads;
  c.problem.mask.rules.clear();
  c.problem.softcap = 6;
  const Measurement seen = measured(target, c);
  EXPECT_NE(first_words(seen).find("is s · tanh(s / cap), where cap · tanh(s / cap) is right"),
            std::string::npos)
      << first_words(seen);
}

TEST(Measure, ShowsAFaultByCasesNearIt) {
  FunctionTarget target = misled([](Case c) {
    std::erase_if(c.problem.mask.rules,
                  [](const RuleUse& rule) { return rule.spec->name == "window"; });
    return c;
  });
  Finding finding;
  finding.target = target.info().name;
  finding.original = finding.shrunk.c = windowed();
  finding.first = finding.last = examine(target, windowed());
  ASSERT_TRUE(finding.first.verdict.failed());
  near_cases(target, finding, 20);
  ASSERT_FALSE(finding.trials.empty());
  const auto shown = std::find_if(finding.trials.begin(), finding.trials.end(),
                                  [](const Trial& trial) { return trial.shown(); });
  ASSERT_NE(shown, finding.trials.end());
  const Bug bug = bug_of(finding);
  EXPECT_EQ(std::count(bug.faults.begin(), bug.faults.end(), shown->fault), 1);
}

TEST(Factors, TellsALogarithmOfAnotherBase) {
  constexpr std::string_view with_lse = R"({
    "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
              "kv_len": [1, 40], "head_dim": [1, 16], "head_dim_v": [1, 16]},
    "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "head_dim_v", "lse", "scale"]
  })";
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  FunctionTarget target(with_lse, [naive](const Case& c, const Inputs& inputs) {
    Outcome outcome = naive->run(c, inputs);
    Tensor& lse = outcome.steps.at(0).more.at(Output::lse);
    std::vector<double> values = lse.to_doubles();
    for (double& value : values) value *= std::numbers::ln2;
    lse = Tensor::from_doubles(lse.dtype, lse.shape, values);
    return outcome;
  });
  Case c = windowed();
  c.problem.mask = {};
  c.problem.outputs = {Output::out, Output::lse};
  const Measurement seen = measured(target, c);
  ASSERT_EQ(seen.statements.size(), 1u);
  EXPECT_EQ(seen.statements[0].words,
            "All of lse is 0.69315 times what it should be: ln 2, and else right.");
}

/// Of a long case some rows are judged: where all others went nobody can tell.
TEST(Places, OfALongCaseNothingIsSaid) {
  Case c;
  c.problem.q_len = c.problem.kv_len = 1500;
  c.problem.head_dim = c.problem.head_dim_v = 16;
  ASSERT_GT(work(c), most_multiplications);
  FunctionTarget queries(capabilities, [](const Case&, const Inputs& inputs) {
    Outcome outcome;
    outcome.steps.resize(1);
    outcome.steps[0].out = inputs.at("q");
    return outcome;
  });
  Budget budget(10, 60);
  const std::optional<OwnRun> run = run_on_own_data(queries, c, budget);
  ASSERT_TRUE(run);
  EXPECT_TRUE(misplaced_rows(c, *run).empty());
}

TEST(Relation, TellsAConstantFromANumberOfTheCase) {
  const Plan plan = declared(windowed());
  Relation constant, places;
  for (const Query& query : plan.queries) {
    constant.add(plan, query, 3);
    places.add(plan, query, query.i);
  }
  EXPECT_FALSE(constant.varies());
  EXPECT_EQ(constant.words("key"), "3 keys");
  EXPECT_EQ(places.words("key"), "its place in the step (0 to 6 keys)");
}

/// A finding of this case, as it is measured, without trials.
Finding measured_finding(Target& target, const Case& c, std::string signature) {
  Finding finding;
  finding.original = finding.shrunk.c = c;
  finding.signature = std::move(signature);
  finding.measured = measured(target, c).statements;
  return finding;
}

TEST(Bug, IsOneWhereOneRuleSaysWhatBothCasesDo) {
  FunctionTarget target = misfed("cpu:naive", capabilities, [](const Case& c, Inputs& inputs) {
    Tensor v = inputs.at("v");
    const size_t row = v.bytes.size() / static_cast<size_t>(c.problem.batch);
    for (size_t n = row; n < v.bytes.size(); ++n) v.bytes[n] = v.bytes[n % row];
    inputs.replace("v", v);
  });
  Case other = windowed();
  other.problem.mask.rules.clear();
  other.problem.batch = 3;
  const Finding a = measured_finding(target, windowed(), "a"),
                b = measured_finding(target, other, "b");
  EXPECT_EQ(same_rule(target, b, std::array{bug_of(a)}, 20), "a");
}

TEST(Bug, AreTwoWhereEachCaseHasARuleOfItsOwn) {
  FunctionTarget target = misled([](Case c) {
    for (RuleUse& rule : c.problem.mask.rules)
      if (rule.spec->name == "window") rule.values[0] = rule.integer(0) + 1;
    if (c.problem.mask.find("window") == nullptr) c.problem.mask.align = Align::top_left;
    return c;
  });
  Case other = windowed();
  std::erase_if(other.problem.mask.rules,
                [](const RuleUse& rule) { return rule.spec->name == "window"; });
  const Finding a = measured_finding(target, windowed(), "a"),
                b = measured_finding(target, other, "b");
  ASSERT_FALSE(a.measured.empty());
  ASSERT_FALSE(b.measured.empty());
  EXPECT_EQ(same_rule(target, b, std::array{bug_of(a)}, 20), "");
  EXPECT_FALSE(is_same(bug_of(a), bug_of(b)));
}

TEST(Bug, ErrorsAreOneWhoseOptionsAndTextsAreTheSame) {
  const auto error = [](const std::string& text, const std::string& when) {
    Finding finding;
    finding.original = windowed();
    finding.original.problem.softcap = 2;
    finding.last.verdict.kind = VerdictKind::fail;
    finding.last.verdict.failure = FailureKind::error;
    finding.last.verdict.detail = text;
    finding.measured = {
        {"mostly", "It happens only in cases with: " + when + " (over 9 failing)."}};
    return bug_of(finding);
  };
  const Bug first = error("ValueError: shapes (3, 1) and (4, 1)", "softcap and kv_len ≥ 3");
  EXPECT_TRUE(is_same(first, error("ValueError: shapes (2, 3, 17) and (5)", "softcap")));
  EXPECT_FALSE(is_same(first, error("ValueError: shapes (3, 1) and (4, 1)", "rule:window")));
  EXPECT_FALSE(is_same(first, error("ValueError: shapes (3, 1) and (4, 1)", "kv_len ≥ 3")));
  EXPECT_FALSE(is_same(first, error("TypeError: shapes (3, 1) and (4, 1)", "softcap")));
}

TEST(Bug, IsNotOneBecauseNothingWasFoundOfBoth) {
  Finding a, b;
  a.measured =
      b.measured = {{"tokens", "Queries see keys of their row that the case hides. Seen."}};
  EXPECT_FALSE(is_same(bug_of(a), bug_of(b)));
  a.trials = {{"window-ignored", true, 4, 4, 2, 2}};
  b.trials = {{"causal-ignored", true, 4, 4, 2, 2}};
  a.measured = b.measured = {{"scores", "The scale is 2. (Seen in 3 of 4 queries.)"}};
  EXPECT_FALSE(is_same(bug_of(a), bug_of(b)));
  b.trials.push_back(a.trials.front());
  EXPECT_TRUE(is_same(bug_of(a), bug_of(b)));
}

TEST(Where, FindsTheSimplestCondition) {
  Where where;
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t head = 0; head < 4; ++head)
      where.add({{"row", row}, {"head", head}, {"even", head % 2 == 0}}, row >= 2 && head == 1);
  EXPECT_EQ(where.condition().words, "row ≥ 2 and head = 1");
  EXPECT_EQ(where.marked(), 2u);
}

TEST(Where, AClauseStandsBehindItsNoun) {
  Where where;
  for (int64_t n = 0; n < 8; ++n)
    where.add({{"in the first half", n < 4}, {"number", n, Where::Attribute::Kind::limit}}, n < 4);
  EXPECT_EQ(where.words_after("keys with"), "keys in the first half");
  EXPECT_EQ(where.words_after("; exactly:"), "; exactly: in the first half");
}

TEST(Where, SaysNothingWhereNothingTellsThemApart) {
  Where where;
  for (const int64_t row : {0, 1, 2, 3, 4}) where.add({{"row", row}}, row == 1 || row == 3);
  EXPECT_FALSE(where.condition().found);
}

}  // namespace
}  // namespace attnfuzz::measure
