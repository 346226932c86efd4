#include "oracle/combinations.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

FeatureSet set_of(std::initializer_list<std::string_view> words) {
  FeatureSet set;
  for (const std::string_view word : words) set.set(word_index(word));
  return set;
}

TEST(Combinations, TellWhatIsMissingAndWhatIsTooMuch) {
  const FeatureSet alone = set_of({"dsinks"}), beside = set_of({"dsinks", "sinks"});
  ASSERT_NE(broken_combination(alone), nullptr);
  EXPECT_EQ(expected_words(*broken_combination(alone), alone), "\"sinks\" beside \"dsinks\"");
  EXPECT_EQ(broken_combination(beside), nullptr);

  const FeatureSet rotated = set_of({"dq", "rope:half"});
  ASSERT_NE(broken_combination(rotated), nullptr);
  EXPECT_EQ(broken_combination(rotated)->path, "/problem/outputs");
  EXPECT_EQ(expected_words(*broken_combination(rotated), rotated), "no \"dq\" with \"rope:half\"");
}

TEST(Combinations, OfWordsThatMakeNoDifferenceAreNoFault) {
  EXPECT_EQ(broken_combination(set_of({"nonfinite:nan_padding"})), nullptr);
}

TEST(Combinations, EveryWordOfAKindWithAStateIsRuledOutOrAllowed) {
  for (const std::string_view kind : {"kind:linear", "kind:ssd", "kind:gated_delta"}) {
    EXPECT_NE(broken_combination(set_of({kind, "rule:causal", "softcap"})), nullptr) << kind;
    EXPECT_EQ(broken_combination(set_of({kind, "rule:causal", "cache:dynamic"})), nullptr) << kind;
    EXPECT_NE(broken_combination(set_of({kind})), nullptr) << kind;  // no "rule:causal"
  }
}

TEST(FeatureSets, AreTheWordsOfTheCase) {
  EXPECT_TRUE(rc::check([] {
    const Case c = testing::random_case();
    const std::vector<std::string> all = features(c);
    std::vector<std::string> chosen = words_of(chosen_features(c));
    for (const std::string& word : all)
      if (word.starts_with("fully_masked:")) chosen.push_back(word);
    std::sort(chosen.begin(), chosen.end());
    RC_ASSERT(chosen == all);
  }));
}

TEST(FeatureSets, AFamilyIsAllItsWords) {
  EXPECT_EQ(words_of(words_like("rope:")),
            (std::vector<std::string>{"rope:half", "rope:interleaved"}));
  EXPECT_EQ(words_of(words_like("gqa")), std::vector<std::string>{"gqa"});
  EXPECT_THROW(words_like("ropes"), std::logic_error);
}

}  // namespace
}  // namespace attnfuzz
