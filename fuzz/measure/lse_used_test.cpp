#include "fuzz/measure/lse_used.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "fuzz/measure/plan.h"
#include "fuzz/testing.h"
#include "oracle/answer.h"
#include "oracle/inputs.h"
#include "oracle/rows.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

using attnfuzz::testing::FunctionTarget;

constexpr std::string_view capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 20],
            "kv_len": [1, 20], "head_dim": [1, 16], "head_dim_v": [1, 16]},
  "features": ["dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "rule:causal",
               "rule:documents", "dv"],
  "equal": [["q_len", "kv_len"]]
})";

Case with_documents(int64_t first) {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 4;
  c.problem.num_kv_heads = 2;
  c.problem.q_len = c.problem.kv_len = 11;
  c.problem.head_dim = 8;
  c.problem.head_dim_v = 6;
  c.problem.mask.rules = {
      attnfuzz::testing::use("causal"),
      attnfuzz::testing::use("documents", {std::vector<int64_t>{first, 2, 9 - first}})};
  c.problem.outputs = {Output::out, Output::dv};
  return c;
}

/// The log-sum-exp that a query's weights are made with in the backward pass.
using Used = std::function<double(const std::vector<double>& lse, size_t query, const Query&,
                                  int64_t first_document)>;

/// Right, but for the log-sum-exps that dv is made with.
FunctionTarget with_lse(Used used) {
  return FunctionTarget(capabilities, [used](const Case& c, const Inputs& inputs) {
    const Problem& p = c.problem;
    const measure::Plan plan = declared(c);
    const Answer right = answer(c, inputs, Precision{});
    const std::vector<double> q = inputs.at("q").to_doubles(), k = inputs.at("k").to_doubles(),
                              g = inputs.at("grad_out").to_doubles();
    const Rows of_q(p.layout, inputs.at("q").shape), of_k(p.layout, inputs.at("k").shape),
        of_g(p.layout, inputs.at("grad_out").shape), of_v(p.layout, inputs.at("v").shape);
    const auto row = [](const std::vector<double>& of, int64_t at, int64_t dim) {
      return std::span(of).subspan(static_cast<size_t>(at), static_cast<size_t>(dim));
    };
    std::vector<std::vector<double>> scores;
    std::vector<double> lse;
    for (const Query& query : plan.queries) {
      std::vector<double>& s = scores.emplace_back();
      double sum = 0;
      for (const Key& key : query.keys) {
        const auto a = row(q, of_q.index(query.b, query.h, query.i), p.head_dim),
                   b = row(k, of_k.index(query.b, p.kv_head(query.h), key.position), p.head_dim);
        s.push_back(p.scale_value() * std::inner_product(a.begin(), a.end(), b.begin(), 0.0));
        sum += std::exp(s.back());
      }
      lse.push_back(std::log(sum));
    }
    std::vector<double> dv(inputs.at("v").to_doubles().size(), 0.0);
    for (size_t n = 0; n < plan.queries.size(); ++n) {
      const Query& query = plan.queries[n];
      const double x = used(lse, n, query, p.mask.find("documents")->list(0)[0]);
      for (size_t j = 0; j < query.keys.size(); ++j) {
        const auto to =
            static_cast<size_t>(of_v.index(query.b, p.kv_head(query.h), query.keys[j].position));
        const auto from = row(g, of_g.index(query.b, query.h, query.i), p.head_dim_v);
        for (size_t d = 0; d < from.size(); ++d) dv[to + d] += std::exp(scores[n][j] - x) * from[d];
      }
    }
    StepOutput given{Tensor::from_doubles(p.dtype, right.steps[0].shape, right.steps[0].out), {}};
    given.more[Output::dv] = Tensor::from_doubles(p.dtype, inputs.at("v").shape, dv);
    return Outcome{Status::ok, "", {given}};
  });
}

std::string said(const Used& used) {
  FunctionTarget target = with_lse(used);
  Budget budget(2000, 60);
  LseFacts facts(LseFacts::Of::used);
  for (const int64_t first : {4, 3}) facts.measure(target, with_documents(first), budget);
  const std::vector<Statement> all = facts.statements();
  return all.empty() ? "" : all.front().words;
}

TEST(Lse, SaysNothingOfWhatIsRight) {
  EXPECT_EQ(said([](const auto& lse, size_t n, const Query&, int64_t) { return lse[n]; }), "");
}

TEST(Lse, TellsZerosAndOthersByDocument) {
  const std::string words =
      said([](const std::vector<double>& lse, size_t n, const Query& query, int64_t first) {
        return query.i < first ? lse[n] : query.i < first + 2 ? 0.0 : lse[n - 3];
      });
  EXPECT_NE(words.find("0 for 32 queries, and that of another query for 88"), std::string::npos)
      << words;
  EXPECT_NE(words.find("exactly: document ≥ 1"), std::string::npos) << words;
}

TEST(Lse, TellsAnAddressByItsStrides) {
  const std::string words =
      said([](const std::vector<double>& lse, size_t, const Query& query, int64_t) {
        return lse[static_cast<size_t>(query.b * 44 + query.i * 4 + query.h)];
      });
  EXPECT_NE(words.find("read at b·q_len·num_heads + h + i·num_heads"), std::string::npos) << words;
}

TEST(Lse, TellsAnotherBase) {
  const std::string words = said([](const std::vector<double>& lse, size_t n, const Query&,
                                    int64_t) { return lse[n] / std::log(2); });
  EXPECT_NE(words.find("to base 2"), std::string::npos) << words;
}

/// Right, but for the lse that comes out.
std::string said_of_returned(const std::function<double(double lse, int64_t keys)>& given) {
  const std::string claims = [] {
    std::string text(capabilities);
    return text.replace(text.find("\"dv\""), 4, "\"lse\"");
  }();
  FunctionTarget target(claims, [&](const Case& c, const Inputs& inputs) {
    const Answer right = answer(c, inputs, Precision{});
    const measure::Plan plan = declared(c);
    std::vector<double> lse;
    for (const MoreAnswer& more : right.steps[0].more)
      if (more.output == Output::lse) lse = more.values;
    for (size_t n = 0; n < lse.size(); ++n)
      lse[n] = given(lse[n], static_cast<int64_t>(plan.queries[n].keys.size()));
    const OutputSpec spec = output_spec(c.problem, Output::lse, c.problem.q_len);
    StepOutput out{Tensor::from_doubles(c.problem.dtype, right.steps[0].shape, right.steps[0].out),
                   {}};
    out.more[Output::lse] = Tensor::from_doubles(spec.dtype, spec.shape, lse);
    return Outcome{Status::ok, "", {out}};
  });
  Budget budget(2000, 60);
  LseFacts facts(LseFacts::Of::returned);
  for (const int64_t first : {4, 3}) {
    Case c = with_documents(first);
    c.problem.outputs = {Output::out, Output::lse};
    facts.measure(target, c, budget);
  }
  const std::vector<Statement> all = facts.statements();
  return all.empty() ? "" : all.front().words;
}

TEST(Lse, TellsWhatIsReturned) {
  EXPECT_EQ(said_of_returned([](double lse, int64_t) { return lse; }), "");
  const std::string mean = said_of_returned(
      [](double lse, int64_t keys) { return lse - std::log(static_cast<double>(keys)); });
  EXPECT_NE(mean.find("less log(n) of n keys"), std::string::npos) << mean;
  const std::string sum = said_of_returned([](double lse, int64_t) { return std::exp(lse); });
  EXPECT_NE(sum.find("the sum of exp(S) itself"), std::string::npos) << sum;
  EXPECT_EQ(said_of_returned([](double, int64_t) { return std::nan(""); }), "");
}

}  // namespace
}  // namespace attnfuzz::measure
