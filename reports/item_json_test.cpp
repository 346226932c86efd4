#include "reports/item_json.h"

#include <gtest/gtest.h>

#include <limits>

#include "fuzz/relations/relation.h"
#include "reports/sample_findings.h"

namespace attnfuzz {
namespace {

void expect_same(const Examination& a, const Examination& b) {
  EXPECT_EQ(a.signature, b.signature);
  EXPECT_EQ(a.verdict.kind, b.verdict.kind);
  EXPECT_EQ(a.verdict.failure, b.verdict.failure);
  EXPECT_EQ(a.verdict.detail, b.verdict.detail);
  EXPECT_EQ(a.verdict.wrong, b.verdict.wrong);
  EXPECT_EQ(a.verdict.checked, b.verdict.checked);
  EXPECT_EQ(a.verdict.worst_ratio, b.verdict.worst_ratio);
  EXPECT_EQ(a.verdict.worst.i, b.verdict.worst.i);
  EXPECT_EQ(a.verdict.worst.got, b.verdict.worst.got);
  EXPECT_EQ(a.verdict.fits, b.verdict.fits);
  EXPECT_EQ(a.outcome.status, b.outcome.status);
  EXPECT_EQ(a.outcome.text, b.outcome.text);
  EXPECT_EQ(a.precision, b.precision);
}

TEST(ItemJson, RoundTrip) {
  Finding f = samples::mismatch_finding(samples::window_case(),
                                        [](auto, auto, auto i, auto) { return i > 2; });
  f.seed = std::numeric_limits<uint64_t>::max();
  f.corpus = "corpus/x/y.case.json";
  f.count = 3;
  f.learned = classify(f.original, f.last.verdict);
  f.learned.numbers = {{{"q_len", "batch"}, std::nullopt, 2}, {{}, 5, 0}};
  f.first.precision.scores = DType::f16;
  f.last.precision.flush_subnormals = true;
  f.last.precision.truncates = true;
  f.last.verdict.worst.got = std::numeric_limits<double>::infinity();
  f.last.verdict.worst_ratio = std::numeric_limits<double>::infinity();
  f.last.verdict.fits = {&faults()[0]};
  const Report::Item item = samples::item(f);
  const std::string json = item_to_json(item);
  const Report::Item back = item_from_json(json, "test");
  EXPECT_EQ(item_to_json(back), json);
  EXPECT_EQ(back.finding.target, f.target);
  EXPECT_EQ(back.finding.seed, f.seed);
  EXPECT_EQ(back.finding.index, f.index);
  EXPECT_EQ(back.finding.corpus, f.corpus);
  EXPECT_EQ(back.finding.original, f.original);
  EXPECT_EQ(back.finding.shrunk.c, f.shrunk.c);
  EXPECT_EQ(back.finding.shrunk.history, f.shrunk.history);
  EXPECT_EQ(back.finding.shrunk.minimal, f.shrunk.minimal);
  EXPECT_EQ(back.finding.learned.text, f.learned.text);
  EXPECT_EQ(back.finding.learned.features, f.learned.features);
  ASSERT_EQ(back.finding.learned.numbers.size(), 2u);
  EXPECT_EQ(back.finding.learned.numbers[0].names, f.learned.numbers[0].names);
  EXPECT_EQ(back.finding.learned.numbers[1].constant, 5);
  expect_same(back.finding.first, f.first);
  expect_same(back.finding.last, f.last);
  ASSERT_EQ(back.finding.last.outcome.steps.size(), 1u);
  EXPECT_EQ(back.finding.last.outcome.steps[0].out.bytes, f.last.outcome.steps[0].out.bytes);
  EXPECT_TRUE(back.finding.first.outcome.steps.empty());
  EXPECT_EQ(back.first_seen, item.first_seen);
  EXPECT_EQ(back.environment, item.environment);
  ASSERT_EQ(back.causes.size(), item.causes.size());
  EXPECT_EQ(back.causes[0].words, item.causes[0].words);
}

TEST(ItemJson, ARelationComesBack) {
  Finding f = samples::error_finding(samples::small_case(), "");
  f.last.verdict.failure = FailureKind::relation;
  f.last.verdict.relation = find_relation("split-step");
  const std::string json = item_to_json(samples::item(f));
  EXPECT_EQ(item_from_json(json, "test").finding.last.verdict.relation, f.last.verdict.relation);
  std::string other = json;
  const std::string_view told = R"("relation":"split-step")";
  other.replace(other.find(told), told.size(), R"("relation":"split-stop")");
  EXPECT_THROW(item_from_json(other, "test"), InputError);
}

TEST(ItemJson, KeepsAllOutputs) {
  Case c = samples::window_case();
  c.problem.outputs = {Output::out, Output::lse, Output::dk};
  Outcome outcome = samples::right_outcome(c);
  outcome.steps[0].more[Output::dk].as<float>()[5] += 1;
  const Finding f = samples::finding(c, outcome);
  ASSERT_EQ(f.last.verdict.worst.output, Output::dk);
  const Finding back = item_from_json(item_to_json(samples::item(f)), "test").finding;
  EXPECT_EQ(back.last.verdict.worst.output, Output::dk);
  ASSERT_EQ(back.last.outcome.steps[0].more.size(), 2u);
  for (const auto& [output, tensor] : outcome.steps[0].more) {
    EXPECT_EQ(back.last.outcome.steps[0].more.at(output).dtype, tensor.dtype);
    EXPECT_EQ(back.last.outcome.steps[0].more.at(output).bytes, tensor.bytes);
  }
}

TEST(ItemJson, HostileTextBecomesPlain) {
  const Finding f = samples::error_finding(samples::small_case(), "a\x1b[31mb\xFF\x01 \"]]>\n");
  const Report::Item back = item_from_json(item_to_json(samples::item(f)), "test");
  EXPECT_EQ(back.finding.last.outcome.text, "ab\uFFFD\\x01 \"]]>\n");
}

TEST(ItemJson, WhatIsNotAFindingIsNamed) {
  for (const char* json :
       {"", "{", "[]", "{}", R"({"attnfuzz_finding":2})", R"({"attnfuzz_finding":1,"target":3})"}) {
    try {
      item_from_json(json, "some.sqlite");
      FAIL() << json;
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("some.sqlite", 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace attnfuzz
