#include "reports/triage/letters.h"

#include <gtest/gtest.h>

#include "reports/triage/parameters.h"

namespace attnfuzz::triage {
namespace {

std::string letters(const std::vector<AxisGuess>& axes) {
  std::string all;
  for (const AxisGuess& each : axes)
    all += (all.empty() ? "" : " ") + std::string(each.any_length ? "len" : name_of(each.axis));
  return all;
}

TEST(Letters, TellEachOther) {
  const std::vector<std::string> heads_last = {"B", "T", "N", "H"}, length = {"B", "H", "N", "D"},
                                 features = {"B_", "N", "C"};
  EXPECT_EQ(letters(axes_of_names(heads_last)), "batch q_len num_heads head_dim");
  EXPECT_EQ(letters(axes_of_names(length)), "batch num_heads len head_dim");
  EXPECT_EQ(letters(axes_of_names(features)), "batch len hidden");
}

TEST(Letters, CountHeadsBesideALength) {
  const std::vector<std::string> beside = {"B", "N", "Sq", "Skv"}, features = {"B", "N", "D"};
  EXPECT_EQ(letters(axes_of_names(beside)), "batch num_heads q_len kv_len");
  EXPECT_EQ(letters(axes_of_names(features)), "batch len head_dim");
  const std::vector<std::string> told = {"B", "num_heads", "N", "P"};
  EXPECT_EQ(letters(axes_of_names(told)), "batch num_heads len ");
}

TEST(Letters, ADimWithoutHeadsIsALayersFeatures) {
  const std::vector<std::string> layer = {"batch", "length", "dim"},
                                 head = {"batch", "length", "heads", "dim"};
  EXPECT_EQ(letters(axes_of_names(layer)), "batch len hidden");
  EXPECT_EQ(letters(axes_of_names(head)), "batch len num_heads head_dim");
}

TEST(Letters, OfAPatternByWhereTheyStand) {
  const auto scores = axes_of_pattern("b i d, b j d -> b i j");
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(letters(scores[0]), "batch*num_heads q_len head_dim");
  EXPECT_EQ(letters(scores[1]), "batch*num_heads kv_len head_dim");
  const auto heads = axes_of_pattern("BTNH,BSNH->BNTS");
  ASSERT_EQ(heads.size(), 3u);
  EXPECT_EQ(letters(heads[1]), "batch kv_len num_heads head_dim");
  const auto split = axes_of_pattern("b n (h d) -> b h n d");
  ASSERT_EQ(split.size(), 2u);
  EXPECT_EQ(letters(split[0]), "batch len hidden");
}

TEST(Letters, WhatIsNoPatternSaysNothing) {
  for (const char* text : {"", "->", "a -> b; drop", "[1, 2]->[2, 1]", "x = y"})
    for (const auto& tensor : axes_of_pattern(text)) EXPECT_EQ(letters(tensor), "") << text;
}

TEST(Parameters, AreLaidOutAsTheirNamesTell) {
  const auto has = [](std::string_view message, std::string_view axes) {
    for (const Layout& layout : parameter_layouts(message))
      if (layout.axes == axes) return true;
    return false;
  };
  EXPECT_TRUE(has("size mismatch for layers.0.attention.wk.weight: copying", "nm"));
  EXPECT_TRUE(has("size mismatch for h.0.attn.c_attn.weight: copying", "Qm"));
  EXPECT_TRUE(has("tensor 'blk.0.attn_k_norm.weight' has wrong shape", "n"));
  EXPECT_TRUE(has("size mismatch for block.0.relative_attention_bias.weight", "oh"));
  EXPECT_TRUE(parameter_layouts("KeyError: 'model.embed'").empty());
}

TEST(Parameters, ProjectionsAreNamedInRunningText) {
  const auto has = [](std::string_view text, std::string_view axes) {
    for (const Layout& layout : projection_layouts(text))
      if (layout.axes == axes && layout.weight > 5) return true;
    return false;
  };
  EXPECT_TRUE(has("the adapter's shard of k_proj is too small", "nm"));
  EXPECT_TRUE(has("x = self.qkv_proj(x)", "mQ"));
  EXPECT_TRUE(projection_layouts("q_proj and k_proj, both").empty());
  EXPECT_TRUE(projection_layouts("the key, the value, the query").empty());
}

}  // namespace
}  // namespace attnfuzz::triage
