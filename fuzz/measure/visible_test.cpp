#include "fuzz/measure/visible.h"

#include <gtest/gtest.h>

#include <functional>

#include "fuzz/measure/cases_for_tests.h"
#include "fuzz/testing.h"
#include "oracle/test_cases.h"

namespace attnfuzz::measure {
namespace {

using testing::windowed;

/// A plan whose queries see what `sees` says, and the words for it.
std::string visible_words(const Case& c, const std::function<bool(const Query&, int64_t)>& sees) {
  const Plan plan = declared(c);
  VisibleFacts facts;
  for (const Query& query : plan.queries) {
    const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
    std::vector<uint8_t> seen;
    for (const int64_t position : held.positions) seen.push_back(sees(query, position) ? 1 : 0);
    facts.add(plan, query, seen);
  }
  return facts.words();
}

TEST(Visible, SaysNothingWhereAllIsRight) {
  EXPECT_EQ(visible_words(windowed(),
                          [](const Query& query, int64_t j) {
                            return j <= query.position && j >= query.position - 3;
                          }),
            "");
}

TEST(Visible, TellsAWindowThatIsCountedFromTheStep) {
  Case c = windowed();
  c.problem.q_len = c.problem.kv_len = 0;
  c.problem.mask.align = Align::top_left;
  c.cache = Cache{};
  c.steps.resize(2);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 6;
  c.steps[1].op = StepOp::append;
  c.steps[1].q_len = 5;
  const std::string words = visible_words(
      c, [](const Query& query, int64_t j) { return j <= query.position && j >= query.i - 3; });
  EXPECT_EQ(words,
            "A query sees a key of its row exactly where the key is not after the query (causal), "
            "and the key "
            "is within the window's left limit, counted from the query's place in its step. (The "
            "case says: where the key is not after the query (causal), and the key is within the "
            "window's "
            "left limit.)");
}

TEST(Visible, TellsWhatIsJoinedInAnotherOrder) {
  Case c = windowed();
  c.problem.q_len = c.problem.kv_len = 12;
  c.problem.mask.rules = {attnfuzz::testing::use("window", {int64_t{3}, int64_t{0}}),
                          attnfuzz::testing::use("prefix", {std::vector<int64_t>{5, 7}})};
  const std::string words = visible_words(c, [](const Query& query, int64_t j) {
    const int64_t prefix = query.b == 0 ? 5 : 7;
    return (j <= query.position && j >= query.position - 3) || j < prefix;
  });
  EXPECT_NE(words.find("exactly where the key is in the prefix; or "), std::string::npos) << words;
}

/// As many queries as keys, with these rules.
Case square(std::vector<RuleUse> rules) {
  Case c = windowed();
  c.problem.q_len = c.problem.kv_len = 12;
  c.problem.mask.rules = std::move(rules);
  return c;
}

TEST(Visible, TellsKeysFartherOnThanTheWindow) {
  const Case c = square({attnfuzz::testing::use("causal"),
                         attnfuzz::testing::use("window", {int64_t{3}, int64_t{0}})});
  const std::string words = visible_words(c, [](const Query& query, int64_t j) {
    return j <= query.position || j > query.position + 4;
  });
  EXPECT_NE(words.find("(causal); or the key is farther on than the window's left"),
            std::string::npos)
      << words;
}

TEST(Visible, TellsThatAllDocumentsButTheFirstAreOne) {
  const Case c = square({attnfuzz::testing::use("documents", {std::vector<int64_t>{3, 4, 5}})});
  const std::string words = visible_words(
      c, [](const Query& query, int64_t j) { return (query.position < 3) == (j < 3); });
  EXPECT_NE(words.find("first document"), std::string::npos) << words;
  EXPECT_EQ(words.find("Not applied"), std::string::npos) << words;
}

TEST(Visible, TellsThatEverySpanSeesAllOthers) {
  const std::vector<int64_t> lens{1, 3, 1, 1, 4, 2};
  const Case c = square({attnfuzz::testing::use("spans", {lens})});
  const auto is_image = [](int64_t place) { return place >= 1 && place != 4 && place != 5; };
  const std::string words = visible_words(c, [&](const Query& query, int64_t j) {
    return j <= query.position || (is_image(j) && is_image(query.position));
  });
  EXPECT_NE(words.find("key and query are both in some span of several tokens"), std::string::npos)
      << words;
}

TEST(Visible, TellsFourThingsThatMustHold) {
  const Case c = square({attnfuzz::testing::use("causal"),
                         attnfuzz::testing::use("documents", {std::vector<int64_t>{3, 4, 5}})});
  const auto document = [](int64_t place) { return place < 3 ? 0 : place < 7 ? 1 : 2; };
  const auto is_lost = [](int64_t place) { return place == 2 || place == 11; };
  const std::string words = visible_words(c, [&](const Query& query, int64_t j) {
    return j <= query.position && document(j) == document(query.position) && j != 0 &&
           !is_lost(query.position);
  });
  for (const char* part :
       {"the key is not after the query (causal)", "the key is in the query's document",
        "the key is not the first of its row",
        "the query is within the largest multiple of 2 tokens of its document"})
    EXPECT_NE(words.find(part), std::string::npos) << part << ": " << words;
}

TEST(Visible, TellsARuleThatReplacesAnother) {
  const Case padded = square(
                 {attnfuzz::testing::use("causal"),
                  attnfuzz::testing::use("padding", {int64_t{1}, std::vector<int64_t>{9, 7}})}),
             plain = square({attnfuzz::testing::use("causal")});
  VisibleFacts facts;
  for (const Case& c : {padded, plain}) {
    const Plan plan = declared(c);
    for (const Query& query : plan.queries) {
      std::vector<uint8_t> seen;
      for (int64_t j = 0; j < 12; ++j)
        seen.push_back(c == padded ? j < (query.b == 0 ? 9 : 7) : j <= query.position);
      facts.add(plan, query, seen);
    }
  }
  EXPECT_NE(facts.words().find("\"padding\" is in the mask"), std::string::npos) << facts.words();
}

TEST(Visible, AllCasesHaveTheSameAtomsWhateverTheirRules) {
  const auto words_of = [](std::vector<RuleUse> rules) {
    const Plan plan = declared(square(std::move(rules)));
    std::vector<std::string> words;
    for (const VisibleAtom& atom : visible_atoms(plan, plan.queries.front())) {
      words.push_back(atom.words);
      EXPECT_EQ(atom.holds.size(), 12) << atom.words;
    }
    return words;
  };
  const std::vector<std::string> plain = words_of({});
  for (const RuleUse& use : {attnfuzz::testing::use("dilated", {int64_t{2}}),
                             attnfuzz::testing::use("chunk", {int64_t{4}, int64_t{0}}),
                             attnfuzz::testing::use("spans", {std::vector<int64_t>{3, 4}}),
                             attnfuzz::testing::use("window", {int64_t{3}, int64_t{0}})})
    EXPECT_EQ(words_of({use}), plain) << use.spec->name;
}

TEST(Visible, SaysNotOfAnAlternativeThatSomethingIsNotApplied) {
  const Case c =
      square({attnfuzz::testing::use("prefix", {std::vector<int64_t>{5, 7}}),
              attnfuzz::testing::use("padding", {int64_t{1}, std::vector<int64_t>{4, 3}})});
  const std::string words = visible_words(c, [](const Query& query, int64_t j) {
    return j < (query.b == 0 ? 5 : 7) || (j <= query.position && j < (query.b == 0 ? 4 : 3));
  });
  EXPECT_FALSE(words.empty());
  EXPECT_EQ(words.find("Not applied"), std::string::npos) << words;
}

}  // namespace
}  // namespace attnfuzz::measure
