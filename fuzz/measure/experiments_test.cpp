#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>

#include "fuzz/measure/attention_for_tests.h"
#include "fuzz/measure/hidden_scores.h"
#include "fuzz/measure/measure.h"
#include "fuzz/testing.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 40], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "head_dim_v",
               "rule:causal", "rule:padding", "padding.side:right", "align:bottom_right", "scale",
               "longer_q", "data:huge", "fully_masked:any"]
})";

constexpr std::string_view claims_of_softcap = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 40], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "cross", "head_dim_v", "softcap",
               "data:huge"]
})";

Case plain() {
  Case c;
  c.problem.batch = 3;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = 5;
  c.problem.kv_len = 13;
  c.problem.head_dim = 8;
  c.problem.head_dim_v = 6;
  return c;
}

std::string said(Target& target, const Case& c) {
  EXPECT_EQ(target.info().capabilities.rejection_reason(c), "");
  Budget budget(2000, 60);
  std::string all;
  for (const Statement& each : measure(target, std::array{c}, budget).statements)
    all += each.about + ": " + each.words + "\n";
  return all;
}

/// exp(scores) of the keys that are seen, which add up to one.
std::vector<double> softmax(const Query& query, std::span<const double> scores) {
  const std::vector<bool> seen = testing::seen_by(query, scores.size());
  std::vector<double> weights(scores.size(), 0.0);
  double sum = 0;
  for (size_t j = 0; j < scores.size(); ++j)
    if (seen[j]) sum += weights[j] = std::exp(scores[j]);
  for (double& w : weights) w /= sum;
  return weights;
}

/// Two parts of the keys, merged with weights exp(base · lse).
FunctionTarget merged(double base) {
  return FunctionTarget(capabilities, [base](const Case& c, const Inputs& inputs) {
    return testing::attention(c, inputs, [base](const Query&, std::span<const double> scores) {
      constexpr size_t middle = 6;
      std::vector<double> weights(scores.size(), 0.0);
      double sums[2] = {0, 0};
      for (size_t j = 0; j < scores.size(); ++j) sums[j < middle ? 0 : 1] += std::exp(scores[j]);
      const double all = std::pow(sums[0], base) + std::pow(sums[1], base);
      for (size_t j = 0; j < scores.size(); ++j) {
        const double sum = sums[j < middle ? 0 : 1];
        weights[j] = std::exp(scores[j]) / sum * std::pow(sum, base) / all;
      }
      return weights;
    });
  });
}

TEST(Parts, TellsLogarithmsOfAnotherBase) {
  FunctionTarget right = merged(1), wrong = merged(std::numbers::log2e);
  EXPECT_EQ(said(right, plain()), "");
  const std::string words = said(wrong, plain());
  EXPECT_NE(words.find("parts: Within parts of the keys the weights are right"), std::string::npos)
      << words;
  EXPECT_NE(words.find("log-sum-exps x to base 2, whose power of 2 is right"), std::string::npos)
      << words;
}

TEST(Parts, TellsThatSumsAreLeftOut) {
  FunctionTarget wrong = merged(0);
  const std::string words = said(wrong, plain());
  EXPECT_NE(words.find("all parts have the same weight"), std::string::npos) << words;
}

TEST(Queries, TellsTheStrideOfABatchRow) {
  FunctionTarget target(capabilities, [](const Case& c, const Inputs& inputs) {
    const Problem& p = c.problem;
    const std::vector<double> q = inputs.at("q").to_doubles();
    std::vector<double> read(q.size());
    const int64_t row = p.num_heads * p.head_dim;
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t i = 0; i < p.q_len; ++i)
        for (int64_t e = 0; e < row; ++e)
          read[static_cast<size_t>((b * p.q_len + i) * row + e)] =
              q[static_cast<size_t>((b + i) * row + e)];
    Inputs other = inputs;
    other.replace("q", Tensor::from_doubles(p.dtype, inputs.at("q").shape, read));
    return testing::attention(c, other, softmax);
  });
  Case c = plain();
  c.problem.layout = Layout::bshd;
  const std::string words = said(target, c);
  EXPECT_NE(words.find("is read at row b·num_heads + h + i·num_heads"), std::string::npos) << words;
}

/// Each half of the queries weighs all values by the keys of its own half, with their softmax.
TEST(Keys, TellsThoseOfTheQuerysOwnPart) {
  FunctionTarget target(capabilities, [](const Case& c, const Inputs& inputs) {
    const int64_t half = c.problem.kv_len / 2;
    return testing::attention(c, inputs, [half](const Query& query, std::span<const double> s) {
      std::vector<double> weights(s.size());
      double sum = 0;
      for (size_t j = 0; j < s.size(); ++j) {
        const int64_t own = query.position / half * half + static_cast<int64_t>(j) % half;
        sum += weights[j] = std::exp(s[static_cast<size_t>(own)]);
      }
      for (double& w : weights) w /= sum;
      return weights;
    });
  });
  std::vector<Case> cases;
  for (const int64_t len : {10, 8, 12}) {
    cases.push_back(plain());
    cases.back().problem.q_len = cases.back().problem.kv_len = len;
  }
  Budget budget(2000, 60);
  const Measurement seen = measure(target, cases, budget);
  ASSERT_FALSE(seen.statements.empty());
  EXPECT_EQ(seen.statements[0].about, "keys");
  EXPECT_NE(seen.statements[0].words.find("that at the same place of the query's own part, where "
                                          "parts have kv_len / 2 tokens"),
            std::string::npos)
      << seen.statements[0].words;
}

/// exp(x) − exp(−x) is inf from x = 89 on.
TEST(Levels, TellsFromWhichScoreOnASoftcapGivesNaN) {
  FunctionTarget target(claims_of_softcap, [](const Case& c, const Inputs& inputs) {
    const double cap = c.problem.softcap;
    return testing::attention(c, inputs, [cap](const Query& query, std::span<const double> s) {
      std::vector<double> capped;
      for (const double x : s) {
        const auto up = std::exp(static_cast<float>(x / cap)),
                   down = std::exp(static_cast<float>(-x / cap));
        capped.push_back(cap * static_cast<double>((up - down) / (up + down)));
      }
      return softmax(query, capped);
    });
  });
  Case c = plain();
  c.problem.softcap = 2;
  c.data.dist = Distribution::huge;
  const std::string words = said(target, c);
  EXPECT_NE(words.find("levels: A query whose scores are all above about 17"), std::string::npos)
      << words;
  EXPECT_NE(words.find(" times the softcap, that comes behind it"), std::string::npos) << words;
  EXPECT_NE(words.find("gives NaN"), std::string::npos) << words;
}

/// Keys that are hidden have a score of −10000.
TEST(HiddenScores, TellsAFiniteMask) {
  FunctionTarget target(capabilities, [](const Case& c, const Inputs& inputs) {
    return testing::attention(c, inputs, [](const Query& query, std::span<const double> scores) {
      const std::vector<bool> seen = testing::seen_by(query, scores.size());
      std::vector<double> weights(scores.begin(), scores.end());
      double sum = 0, largest = -1e300;
      for (size_t j = 0; j < weights.size(); ++j) {
        if (!seen[j]) weights[j] = -10000;
        largest = std::max(largest, weights[j]);
      }
      for (double& w : weights) sum += w = std::exp(w - largest);
      for (double& w : weights) w /= sum;
      return weights;
    });
  });
  Case c = plain();
  c.problem.fully_masked = FullyMasked::any;
  c.problem.mask.rules = {
      attnfuzz::testing::use("padding", {int64_t{1}, std::vector<int64_t>{9, 7, 13}})};
  Budget budget(2000, 60);
  const std::vector<Statement> seen = hidden_scores(target, c, 12000, budget);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_NE(seen[0].words.find("Keys that the case hides by \"padding\" have a score of about "
                               "-1e+04"),
            std::string::npos)
      << seen[0].words;
  EXPECT_TRUE(hidden_scores(target, c, 5000, budget).empty());
}

}  // namespace
}  // namespace attnfuzz::measure
