#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "fuzz/campaign.h"
#include "fuzz/generate.h"
#include "fuzz/relations/relation.h"
#include "fuzz/testing.h"
#include "oracle/each_nth.h"

namespace attnfuzz {
namespace {

std::vector<const Relation*> all_relations() {
  std::vector<const Relation*> all;
  for (const Relation& each : relations()) all.push_back(&each);
  return all;
}

TEST(Relations, HaveNamesWordsAndCauses) {
  std::set<std::string_view> names;
  for (const Relation& each : relations()) {
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_EQ(find_relation(each.name), &each);
    EXPECT_FALSE(each.words.empty());
    EXPECT_TRUE(each.cause.ends_with(".")) << each.name;
  }
  EXPECT_EQ(find_relation("split-steps"), nullptr);
}

/// Targets that are right, together with what they claim between them.
TEST(Relations, HoldOnRightTargets) {
  std::map<std::string_view, int> held;
  for (const char* name :
       {"cpu:naive", "cpu:tiled", "cpu:split-kv", "cpu:varlen", "cpu:dense-cache",
        "cpu:paged-cache", "cpu:ring-cache", "cpu:chunked-cache", "cpu:linear-recurrent",
        "cpu:linear-chunked", "cpu:fp8", "cpu:strided"}) {
    const std::unique_ptr<Target> target = open_target(name);
    const Generator generator(target->info().capabilities);
    for (uint64_t index = 0; index < 600; ++index) {  // the rare ones take more cases
      const Case c = generator(*seeded_draw(5, index));
      for (const Relation* relation : applicable(all_relations(), target->info().capabilities, c)) {
        if (index >= 150 / testing::each_nth && held[relation->name] > 15) continue;
        const Examination done = examine_relation(*target, c, *relation);
        ASSERT_FALSE(done.verdict.failed()) << name << " " << one_line(c) << "\n"
                                            << done.verdict.detail;
        held[relation->name] += done.verdict.relation == relation;
      }
    }
  }
  for (const Relation& each : relations()) EXPECT_GT(held[each.name], 15) << each.name;
}

/// A target that some relation catches.
struct Caught {
  const char* relation;
  const char* target;
};
constexpr Caught caught[] = {
    {"split-step", "specimen:gdn-cached-chunk-restarts"},
    {"one-by-one", "specimen:ring-overwritten-before-read"},
    {"rows-alone", "specimen:left-padding-one-position"},
    {"neighbours", "specimen:mamba2-decay-from-chunk"},
    {"unpadded", "specimen:mamba-padded-tail"},
    {"pad-side", "specimen:sdpa-masked-nan-leaks"},
    {"page-size", "specimen:fork-shares-tail-page"},
    {"reorder-first", "specimen:state-reorder-skipped"},
    {"crop-never", "specimen:crop-zero-ignored"},
    {"shifted-chunks", "specimen:retention-last-chunk-decay"},
    {"padding-content", "specimen:sdpa-masked-nan-leaks"},
};

/// The first finding of a campaign that only this relation could make, none if there is none.
std::optional<Finding> first_finding(Target& target, const Relation& relation) {
  const Generator generator(target.info().capabilities);
  for (uint64_t index = 0; index < 3000; ++index) {
    const Case c = generator(*seeded_draw(1, index));
    Examination done = examine_relation(target, c, relation);
    if (!done.verdict.failed()) continue;
    Finding finding = finding_of(target.info(), 1, index, {c, std::move(done)});
    shrink_finding(target, finding, 500);
    return finding;
  }
  return {};
}

TEST(Relations, EachCatchesASpecimenAndNotItsFixedForm) {
  for (const Caught& row : caught) {
    const Relation& relation = *find_relation(row.relation);
    const std::unique_ptr<Target> buggy = open_target(row.target);
    const std::optional<Finding> finding = first_finding(*buggy, relation);
    ASSERT_TRUE(finding) << row.relation << " on " << row.target;
    EXPECT_EQ(finding->last.verdict.failure, FailureKind::relation);
    EXPECT_EQ(finding->last.verdict.relation, &relation);
    EXPECT_EQ(finding->learned.meanings, std::vector<std::string>{row.relation});
    EXPECT_TRUE(finding->signature.starts_with("relation-")) << finding->signature;
    const std::unique_ptr<Target> right =
        open_target("fixed" + std::string(row.target).substr(std::string("specimen").size()));
    EXPECT_FALSE(examine_relation(*right, finding->original, relation).verdict.failed());
    EXPECT_FALSE(examine_relation(*right, finding->shrunk.c, relation).verdict.failed());
  }
}

/// cpu:naive with something done to the inputs before or to the output behind it.
std::unique_ptr<Target> spoilt(std::function<void(const Inputs&, Tensor&)> spoil) {
  constexpr std::string_view capabilities = R"({
    "sizes": {"batch": [1, 4], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 8],
              "kv_len": [1, 8], "head_dim": [1, 8], "head_dim_v": [1, 8]},
    "features": ["dtype:f32", "layout:bhsd", "cross"]})";
  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  return std::make_unique<testing::FunctionTarget>(
      capabilities, [naive, spoil = std::move(spoil)](const Case& c, const Inputs& inputs) {
        Outcome outcome = naive->run(c, inputs);
        spoil(inputs, outcome.steps[0].out);
        return outcome;
      });
}

TEST(Relations, CatchWhatNoSpecimenDoes) {
  int calls = 0;
  const auto restless = spoilt([&](const Inputs&, Tensor& out) {
    out.as<float>()[0] = std::nextafter(out.as<float>()[0], ++calls % 2 == 0 ? 9.0F : -9.0F);
  });
  const std::optional<Finding> repeat = first_finding(*restless, *find_relation("repeat"));
  ASSERT_TRUE(repeat);
  EXPECT_EQ(repeat->signature.substr(0, 9), "relation-");

  const auto biased = spoilt([](const Inputs&, Tensor& out) { out.as<float>()[0] += 0.25F; });
  EXPECT_TRUE(first_finding(*biased, *find_relation("scaled-values")));

  const auto ordered = spoilt([](const Inputs& inputs, Tensor& out) {
    out.as<float>()[0] += inputs.at("v").as<float>()[0];  // of the first key
  });
  EXPECT_TRUE(first_finding(*ordered, *find_relation("permuted-keys")));

  const std::shared_ptr<Target> naive = open_target("cpu:naive");
  testing::FunctionTarget infinite(
      R"({"sizes": {"q_len": [1, 8], "kv_len": [1, 8]},
          "features": ["dtype:f32", "layout:bhsd", "cross", "rule:bias", "bias.shape:qk",
                       "fully_masked:zero", "nonfinite:inf_bias"]})",
      [&](const Case& c, const Inputs& inputs) {
        Outcome outcome = naive->run(c, inputs);
        const Tensor* bias = inputs.find("bias");
        for (const double x : bias == nullptr ? std::vector<double>() : bias->to_doubles())
          outcome.steps[0].out.as<float>()[0] += static_cast<float>(0 * x);
        return outcome;
      });
  EXPECT_TRUE(first_finding(infinite, *find_relation("infinite-bias")));
  testing::FunctionTarget shared(
      R"({"sizes": {"batch": [1, 4], "q_len": [1, 8], "kv_len": [1, 8]},
          "features": ["dtype:f32", "layout:bhsd", "cross", "rule:padding",
                       "padding.side:right", "fully_masked:zero"]})",
      [&](const Case& c, const Inputs& inputs) {
        Outcome outcome = naive->run(c, inputs);
        const RuleUse* padding = c.problem.mask.find("padding");
        const bool empty = padding != nullptr && std::ranges::count(padding->list(1), 0) > 0;
        for (std::byte& b : outcome.steps[0].out.bytes) b = empty ? std::byte{0} : b;
        return outcome;
      });
  EXPECT_TRUE(first_finding(shared, *find_relation("masked-row")));
  const auto flushed = open_target("mutant:subnormals-flushed");
  EXPECT_TRUE(first_finding(*flushed, *find_relation("lifted-values")));
  const auto unscaled = open_target("mutant:scale-ignored");
  EXPECT_TRUE(first_finding(*unscaled, *find_relation("scaled-queries")));
  const auto mixed = open_target("mutant:packed-one-more");
  EXPECT_TRUE(first_finding(*mixed, *find_relation("sequence-alone")));
}

TEST(Relations, ScaleOnlyQueriesThatStayExact) {
  Case c;
  c.problem.q_len = 512;
  c.problem.head_dim = 8;
  c.data.dist = Distribution::huge;
  const auto has_twin = [&](DType dtype) {
    c.problem.dtype = dtype;
    return find_relation("scaled-queries")->twin(c).has_value();
  };
  EXPECT_TRUE(has_twin(DType::f32));
  EXPECT_TRUE(has_twin(DType::f16));
  EXPECT_FALSE(has_twin(DType::e4m3));  // a sixteenth of some is subnormal
}

TEST(Relations, TurnedTokensDoNotMoveAwayFromMemory) {
  Case c;
  c.problem.q_len = c.problem.kv_len = 2;
  c.problem.memory_kv = 1;
  c.problem.mask.rules = {{find_rule("padding"), {int64_t{0}, std::vector<int64_t>{1}}}};
  EXPECT_TRUE(find_relation("pad-side")->twin(c));
  EXPECT_TRUE(find_relation("unpadded")->twin(c));
  c.problem.rope = Rope::half;
  EXPECT_FALSE(find_relation("pad-side")->twin(c));
  EXPECT_FALSE(find_relation("unpadded")->twin(c));
}

TEST(Relations, PaddingContentIsPartOfAMeanOfAllKeys) {
  Case c;
  c.problem.mask.rules = {{find_rule("padding"), {int64_t{0}, std::vector<int64_t>{0}}}};
  c.data.nonfinite = NonFinite::nan_padding;
  EXPECT_TRUE(find_relation("padding-content")->twin(c));
  c.problem.fully_masked = FullyMasked::uniform;
  EXPECT_FALSE(find_relation("padding-content")->twin(c));
}

TEST(Relations, AreLookedIntoByCampaignsInTurn) {
  const std::unique_ptr<Target> target = open_target("cpu:dense-cache");
  CampaignOptions options;
  options.cases = 200;
  const CampaignStats without = run_campaign(*target, options, {});
  options.relations = all_relations();
  const CampaignStats with = run_campaign(*target, options, {});
  EXPECT_EQ(with.failed, 0U);
  const auto covered = [](const CampaignStats& stats) {
    int count = 0;
    for (const auto& [word, times] : stats.features) count += word.starts_with("relation:");
    return count;
  };
  EXPECT_EQ(covered(without), 0);
  EXPECT_GE(covered(with), 8);
}

}  // namespace
}  // namespace attnfuzz
