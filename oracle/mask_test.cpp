#include "oracle/mask.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>
#include <string>

#include "oracle/case.h"

namespace attnfuzz {
namespace {

RuleUse use(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}

ParamValue list(std::vector<int64_t> values) {
  return values;
}

Problem square(int64_t q_len, int64_t kv_len, std::vector<RuleUse> rules,
               Align align = Align::top_left) {
  Problem problem;
  problem.q_len = q_len;
  problem.kv_len = kv_len;
  problem.mask.align = align;
  problem.mask.rules = std::move(rules);
  return problem;
}

/// Rows of the mask of batch row b, head 0: '#' seen, '.' hidden.
std::vector<std::string> picture(const Problem& problem, int64_t b = 0) {
  const DenseMask dense = dense_mask(problem, Data{});
  std::vector<std::string> rows;
  auto at = static_cast<size_t>(b * problem.num_heads * problem.q_len * problem.kv_len);
  for (int64_t i = 0; i < problem.q_len; ++i) {
    std::string row;
    for (int64_t j = 0; j < problem.kv_len; ++j) row += dense.visible[at++] != 0 ? '#' : '.';
    rows.push_back(row);
  }
  return rows;
}

using Rows = std::vector<std::string>;

TEST(Mask, NoRulesShowAll) {
  EXPECT_EQ(picture(square(2, 3, {})), (Rows{"###", "###"}));
}

TEST(Mask, CausalAlignments) {
  EXPECT_EQ(picture(square(2, 4, {use("causal")})), (Rows{"#...", "##.."}));
  EXPECT_EQ(picture(square(2, 4, {use("causal")}, Align::bottom_right)), (Rows{"###.", "####"}));
  EXPECT_EQ(picture(square(4, 2, {use("causal")})), (Rows{"#.", "##", "##", "##"}));
  EXPECT_EQ(picture(square(4, 2, {use("causal")}, Align::bottom_right)),
            (Rows{"..", "..", "#.", "##"}));
}

TEST(Mask, WindowCountsTheOwnTokenApart) {
  EXPECT_EQ(picture(square(4, 4, {use("window", {int64_t{1}, int64_t{0}})})),
            (Rows{"#...", "##..", ".##.", "..##"}));
  EXPECT_EQ(picture(square(3, 3, {use("window", {int64_t{0}, int64_t{1}})})),
            (Rows{"##.", ".##", "..#"}));
}

TEST(Mask, ChunkOrigins) {
  EXPECT_EQ(picture(square(4, 5, {use("chunk", {int64_t{2}, int64_t{0}})})),
            (Rows{"##...", "##...", "..##.", "..##."}));
  // Two of five slots are padding on the left, so chunks of 2 begin at slot 2 (and at 0).
  const std::vector<RuleUse> padded{use("chunk", {int64_t{3}, int64_t{1}}),
                                    use("padding", {int64_t{0}, list({3})})};
  EXPECT_EQ(picture(square(5, 5, padded)), (Rows{".....", ".....", "..###", "..###", "..###"}));
}

TEST(Mask, ChunkOfNegativePositionsRoundsDown) {
  // q positions −2 … 1: chunks [−2, −1] and [0, 1].
  EXPECT_EQ(picture(square(4, 2, {use("chunk", {int64_t{2}, int64_t{0}})}, Align::bottom_right)),
            (Rows{"..", "..", "##", "##"}));
}

TEST(Mask, Prefix) {
  EXPECT_EQ(picture(square(3, 4, {use("prefix", {list({2})})})), (Rows{"##..", "##..", "###."}));
}

TEST(Mask, DocumentsOutsideWhichAQuerySeesNothing) {
  EXPECT_EQ(picture(square(4, 3, {use("documents", {list({1, 2})})})),
            (Rows{"#..", ".##", ".##", "..."}));
}

TEST(Mask, PackedSequencesAreAlignedEachByItself) {
  const std::vector<RuleUse> lens{use("packed", {list({2, 0, 1}), list({1, 1, 2})})};
  EXPECT_EQ(picture(square(3, 4, lens)), (Rows{"#...", "#...", "..##"}));
  std::vector<RuleUse> causal = lens;
  causal.push_back(use("causal"));
  EXPECT_EQ(picture(square(3, 4, causal)), (Rows{"#...", "#...", "..#."}));
  EXPECT_EQ(picture(square(3, 4, causal, Align::bottom_right)), (Rows{"....", "#...", "..##"}));
}

TEST(Mask, PaddingSides) {
  Problem problem = square(1, 4, {use("padding", {int64_t{0}, list({1, 4})})});
  problem.batch = 2;
  EXPECT_EQ(picture(problem, 0), (Rows{"...#"}));
  EXPECT_EQ(picture(problem, 1), (Rows{"####"}));
  problem.mask.rules = {use("padding", {int64_t{1}, list({1, 0})})};
  EXPECT_EQ(picture(problem, 0), (Rows{"#..."}));
  EXPECT_EQ(picture(problem, 1), (Rows{"...."}));
}

TEST(Mask, BooleanSharesWhatItsShapeLacks) {
  for (int64_t shape = 0; shape < 4; ++shape) {
    Problem problem = square(16, 16, {use("boolean", {shape, int64_t{50}})});
    problem.batch = problem.num_heads = problem.num_kv_heads = 2;
    const DenseMask dense = dense_mask(problem, Data{});
    const auto block = [&](int64_t b, int64_t h) {
      const auto at = dense.visible.begin() + (b * 2 + h) * 256;
      return std::vector<uint8_t>(at, at + 256);
    };
    EXPECT_EQ(block(0, 0) == block(1, 0), (shape & 1) == 0) << shape;
    EXPECT_EQ(block(0, 0) == block(0, 1), (shape & 2) == 0) << shape;
  }
}

TEST(Mask, BooleanKeepsItsPercentage) {
  for (const int64_t keep : {0, 30, 100}) {
    const Problem problem = square(64, 64, {use("boolean", {int64_t{0}, keep})});
    const DenseMask dense = dense_mask(problem, Data{});
    const auto kept = std::count(dense.visible.begin(), dense.visible.end(), 1);
    EXPECT_NEAR(static_cast<double>(kept) / 4096, static_cast<double>(keep) / 100, 0.05);
    if (keep == 0) {
      EXPECT_EQ(kept, 0);
    }
    if (keep == 100) {
      EXPECT_EQ(kept, 4096);
    }
  }
}

TEST(Mask, AlibiFallsWithDistanceByHead) {
  Problem problem = square(1, 3, {use("alibi")}, Align::bottom_right);
  problem.num_heads = problem.num_kv_heads = 8;
  const DenseMask dense = dense_mask(problem, Data{});
  ASSERT_EQ(dense.bias.size(), 24u);
  EXPECT_EQ(dense.bias[0], -1.0);  // head 0: slope 1/2, distance 2
  EXPECT_EQ(dense.bias[2], 0.0);
  EXPECT_EQ(dense.bias[21], -2.0 / 256);
  EXPECT_TRUE(dense_mask(square(1, 3, {use("causal")}), Data{}).bias.empty());
}

TEST(Mask, BlocksAreHiddenWhole) {
  for (int64_t shape = 0; shape < 4; ++shape) {
    Problem problem =
        square(7, 8, {use("block_sparse", {shape, int64_t{2}, int64_t{3}, int64_t{50}})});
    problem.batch = problem.num_heads = problem.num_kv_heads = 3;
    const DenseMask dense = dense_mask(problem, Data{});
    const auto seen = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
      return dense.visible[static_cast<size_t>(((b * 3 + h) * 7 + i) * 8 + j)];
    };
    std::set<std::string> patterns, by_head, by_row;
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t h = 0; h < 3; ++h) {
        std::string pattern;
        for (int64_t i = 0; i < 7; ++i)
          for (int64_t j = 0; j < 8; ++j) {
            EXPECT_EQ(seen(b, h, i, j), seen(b, h, i / 2 * 2, j / 3 * 3));
            pattern += seen(b, h, i, j) != 0 ? '#' : '.';
          }
        patterns.insert(pattern);
        if (b == 0) by_head.insert(pattern);
        if (h == 0) by_row.insert(pattern);
      }
    EXPECT_EQ(by_row.size() > 1, (shape & 1) != 0) << shape;
    EXPECT_EQ(by_head.size() > 1, (shape & 2) != 0) << shape;
    EXPECT_TRUE(patterns.begin()->find('#') != std::string::npos);
  }
}

TEST(Mask, DilatedCountsFromTheQuery) {
  EXPECT_EQ(picture(square(4, 4, {use("dilated", {int64_t{2}})})),
            (Rows{"#.#.", ".#.#", "#.#.", ".#.#"}));
  const std::vector<RuleUse> window{use("dilated", {int64_t{2}}),
                                    use("window", {int64_t{2}, int64_t{0}})};
  EXPECT_EQ(picture(square(2, 5, window, Align::bottom_right)), (Rows{".#.#.", "..#.#"}));
}

TEST(Mask, SpansAreBidirectionalInACausalSequence) {
  EXPECT_EQ(picture(square(5, 5, {use("spans", {list({1, 3, 1})})})),
            (Rows{"#....", "####.", "####.", "####.", "#####"}));
  EXPECT_EQ(picture(square(4, 2, {use("spans", {list({2})})}, Align::bottom_right)),
            (Rows{"..", "..", "##", "##"}));
}

TEST(Mask, TreeShowsThePathToTheRoot) {
  // Behind two tokens: a, its children b and c, and d, a child of b.
  const RuleUse tree = use("tree", {list({-1, 0, 0, 1})});
  EXPECT_EQ(picture(square(5, 6, {tree}, Align::bottom_right)),
            (Rows{"##....", "###...", "####..", "###.#.", "####.#"}));
  EXPECT_EQ(picture(square(2, 2, {use("tree", {list({-1, -1})})})), (Rows{"#.", ".#"}));
}

TEST(Mask, RelativeBiasGoesByBuckets) {
  // Distances -5 … 1 for the last query.
  const auto buckets = [](std::vector<ParamValue> values) {
    Problem problem = square(1, 7, {use("relative_bias", std::move(values))});
    problem.q_len = 6;
    const DenseMask dense = dense_mask(problem, Data{});
    std::string text;
    std::vector<double> known;
    for (size_t j = 0; j < 7; ++j) {
      const double x = dense.bias[5 * 7 + j];
      const auto at = std::find(known.begin(), known.end(), x);
      text += static_cast<char>('a' + (at - known.begin()));
      if (at == known.end()) known.push_back(x);
    }
    return text;
  };
  constexpr int64_t both = 0, past = 1, linear = 0, log = 1;
  EXPECT_EQ(buckets({int64_t{16}, int64_t{3}, both, linear}), "aaabcde");
  EXPECT_EQ(buckets({int64_t{16}, int64_t{3}, past, linear}), "aaabcdd");
  EXPECT_EQ(buckets({int64_t{4}, int64_t{9}, both, linear}), "aaaaabc");
  EXPECT_EQ(buckets({int64_t{6}, int64_t{16}, past, log}), "aaabcdd");  // one for 3, 4 and 5
}

TEST(Mask, TableNamesAreUniqueAndFound) {
  for (const RuleSpec* rule : rule_table()) EXPECT_EQ(find_rule(rule->name), rule);
  EXPECT_EQ(find_rule("no such rule"), nullptr);
}

Problem arbitrary_sizes() {
  return square(*rc::gen::inRange<int64_t>(0, 12), *rc::gen::inRange<int64_t>(0, 12), {},
                *rc::gen::element(Align::top_left, Align::bottom_right));
}

bool same_visible(Problem problem, std::vector<RuleUse> one, std::vector<RuleUse> other) {
  problem.mask.rules = std::move(one);
  const DenseMask first = dense_mask(problem, Data{});
  problem.mask.rules = std::move(other);
  return first.visible == dense_mask(problem, Data{}).visible;
}

TEST(MaskProperty, WindowAsLongAsTheRowIsCausal) {
  EXPECT_TRUE(rc::check([] {
    const Problem problem = arbitrary_sizes();
    const int64_t left = problem.q_len + problem.kv_len + *rc::gen::inRange<int64_t>(0, 3);
    RC_ASSERT(same_visible(problem, {use("window", {left, int64_t{0}})}, {use("causal")}));
    const int64_t most = std::numeric_limits<int64_t>::max();
    RC_ASSERT(same_visible(problem, {use("window", {most, most})}, {}));
  }));
}

TEST(MaskProperty, ChunkAsLongAsTheRowSaysNothing) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    problem.mask.align = Align::top_left;
    const int64_t size =
        std::max<int64_t>({1, problem.q_len, problem.kv_len}) + *rc::gen::inRange<int64_t>(0, 3);
    RC_ASSERT(same_visible(problem, {use("chunk", {size, int64_t{0}})}, {}));
    const int64_t most = std::numeric_limits<int64_t>::max();
    RC_ASSERT(same_visible(problem, {use("chunk", {most, int64_t{0}})}, {}));
  }));
}

TEST(MaskProperty, ChunkOriginsDifferByPaddingOnly) {
  EXPECT_TRUE(rc::check([] {
    const Problem problem = arbitrary_sizes();
    const int64_t size = *rc::gen::inRange<int64_t>(1, 5);
    const int64_t len = *rc::gen::inRange<int64_t>(0, problem.kv_len + 1);
    const RuleUse padding = use("padding", {int64_t{0}, list({len})});
    if ((problem.kv_len - len) % size == 0) {
      RC_ASSERT(same_visible(problem, {padding, use("chunk", {size, int64_t{0}})},
                             {padding, use("chunk", {size, int64_t{1}})}));
    }
  }));
}

TEST(MaskProperty, OneDocumentSaysNothingToQueriesInside) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    problem.kv_len += 1;
    problem.q_len = std::min(problem.q_len, problem.kv_len);
    RC_ASSERT(same_visible(problem, {use("documents", {list({problem.kv_len})})}, {}));
  }));
}

TEST(MaskProperty, PrefixIsCausalPlusTheFirstKeys) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    const int64_t len = *rc::gen::inRange<int64_t>(0, problem.kv_len + 1);
    problem.mask.rules = {use("prefix", {list({len})})};
    const DenseMask got = dense_mask(problem, Data{});
    problem.mask.rules = {use("causal")};
    DenseMask want = dense_mask(problem, Data{});
    for (int64_t i = 0; i < problem.q_len; ++i) {
      const auto row = want.visible.begin() + i * problem.kv_len;
      std::fill(row, row + len, uint8_t{1});
    }
    RC_ASSERT(got.visible == want.visible);
  }));
}

/// What implementations take a span to be: causal, or the query's document.
TEST(MaskProperty, SpansAreCausalOrDocuments) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    problem.kv_len += 1;
    const int64_t cut = *rc::gen::inRange<int64_t>(1, problem.kv_len + 1);
    std::vector<int64_t> lens{cut};
    if (cut < problem.kv_len) lens.push_back(problem.kv_len - cut);
    const auto visible = [&](std::vector<RuleUse> rules) {
      problem.mask.rules = std::move(rules);
      return dense_mask(problem, Data{}).visible;
    };
    std::vector<uint8_t> want = visible({use("causal")});
    const std::vector<uint8_t> documents = visible({use("documents", {list(lens)})});
    for (size_t k = 0; k < want.size(); ++k) want[k] |= documents[k];
    RC_ASSERT(visible({use("spans", {list(lens)})}) == want);
  }));
}

TEST(MaskProperty, ATreeWithoutBranchesIsCausal) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    problem.q_len = std::min(problem.q_len, problem.kv_len);
    std::vector<int64_t> chain(
        static_cast<size_t>(*rc::gen::inRange<int64_t>(0, problem.kv_len + 1)));
    for (size_t n = 0; n < chain.size(); ++n) chain[n] = static_cast<int64_t>(n) - 1;
    RC_ASSERT(same_visible(problem, {use("tree", {list(chain)})}, {use("causal")}));
  }));
}

TEST(MaskProperty, BlocksOfOneAreTheBooleanMask) {
  EXPECT_TRUE(rc::check([] {
    const int64_t keep = *rc::gen::inRange<int64_t>(0, 101);
    RC_ASSERT(same_visible(arbitrary_sizes(),
                           {use("block_sparse", {int64_t{3}, int64_t{1}, int64_t{1}, keep})},
                           {use("boolean", {int64_t{3}, keep})}));
  }));
}

TEST(MaskProperty, RulesAreAConjunction) {
  EXPECT_TRUE(rc::check([] {
    Problem problem = arbitrary_sizes();
    const std::vector<RuleUse> rules{use("causal"),
                                     use("window", {*rc::gen::inRange<int64_t>(0, 5), int64_t{1}}),
                                     use("chunk", {*rc::gen::inRange<int64_t>(1, 5), int64_t{0}}),
                                     use("boolean", {int64_t{0}, int64_t{70}})};
    std::vector<uint8_t> want(static_cast<size_t>(problem.q_len * problem.kv_len), 1);
    for (const RuleUse& rule : rules) {
      problem.mask.rules = {rule};
      const DenseMask one = dense_mask(problem, Data{});
      for (size_t k = 0; k < want.size(); ++k) want[k] &= one.visible[k];
    }
    problem.mask.rules = rules;
    RC_ASSERT(dense_mask(problem, Data{}).visible == want);
  }));
}

}  // namespace
}  // namespace attnfuzz
