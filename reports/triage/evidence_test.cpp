#include "reports/triage/evidence.h"

#include <gtest/gtest.h>

#include "reports/triage/models.h"
#include "reports/triage/number_words.h"

namespace attnfuzz::triage {
namespace {

/// The size that the line before an error gives to an axis, 0 if it gives none.
int64_t told(const std::string& line, Axis axis) {
  const Evidence evidence = gather(read_traceback(line + "\nRuntimeError: sizes differ"), {});
  int64_t value = 0;
  double most = 0;
  for (const Fact& fact : evidence.facts)
    if (fact.axis == axis && fact.weight > most) {
      value = fact.value;
      most = fact.weight;
    }
  return value;
}

struct Line {
  const char* line;
  Axis axis;
  int64_t value;
};
constexpr Line kLines[] = {
    {"num_heads=7, head_dim=24", Axis::head_dim, 24},
    {"\"num_key_value_heads\": 3,", Axis::num_kv_heads, 3},
    {"--num_attention_heads 11 --seq_length 50", Axis::num_heads, 11},
    {"some model: 5130 hidden, 19 heads", Axis::hidden, 5130},
    {"7 query heads, 3 key and value heads", Axis::num_heads, 7},
    {"7 query heads, 3 key and value heads", Axis::num_kv_heads, 3},
    {"a model of 14 and 7 heads", Axis::num_heads, 14},
    {"a model of 14 and 7 heads", Axis::num_kv_heads, 7},
    {"attention with 24 Q / 6 KV heads", Axis::num_kv_heads, 6},
    {"three heads of 40 features", Axis::num_heads, 3},
    {"- kv 5: x.attention.head_count u32 = 13", Axis::num_heads, 13},
    {"- kv 6: x.attention.head_count_kv u32 = 5", Axis::num_kv_heads, 5},
    {"print_info: n_embd_k_gqa = 768", Axis::kv_hidden, 768},
    {"x.embedding_length u32 = 1300", Axis::hidden, 1300},
};

TEST(Facts, AreStatedInManyWays) {
  for (const Line& each : kLines)
    EXPECT_EQ(told(each.line, each.axis), each.value) << each.line << ": " << name_of(each.axis);
}

TEST(Facts, AModelsNameTellsItsSizes) {
  const auto size = [](std::string_view text, Axis axis) {
    for (const ModelSize& each : model_sizes(text))
      if (each.axis == axis) return each.value;
    return int64_t{0};
  };
  for (const char* name : {"meta-llama/Llama-3.1-8B-Instruct", "llama3.1 8b", "LLAMA_3_1_8B"}) {
    EXPECT_EQ(size(name, Axis::num_heads), 32) << name;
    EXPECT_EQ(size(name, Axis::num_kv_heads), 8) << name;
  }
  EXPECT_EQ(size("Qwen2.5-VL-7B", Axis::num_heads), 28);
  EXPECT_EQ(size("Llama-3 something", Axis::num_heads), 0);
  EXPECT_EQ(size("Llama-3 something", Axis::num_kv_heads), 8);
  EXPECT_TRUE(model_sizes("a model of ours, 7b").empty());
}

TEST(Facts, NumbersAreWrittenInWords) {
  EXPECT_EQ(with_digits("two heads, sixty-four features"), "2 heads, 64 features");
  EXPECT_EQ(with_digits("one of often, tenth, two_x"), "one of often, tenth, two_x");
}

std::string axes_text(const StatedLayout& layout) {
  std::string all = std::string(name_of(layout.role.role)) + ":";
  for (const AxisGuess& each : layout.axes)
    all += " " + (each.any_length           ? "len"
                  : each.axis == Axis::none ? "-"
                                            : std::string(name_of(each.axis)));
  return all;
}

TEST(StatedLayouts, AreFoundInProse) {
  struct Stated {
    const char *line, *axes;
  };
  static constexpr Stated lines[] = {
      {"the keys are [batch_size, num_kv_heads, kv_len, head_dim] there",
       "keys: batch num_kv_heads kv_len head_dim"},
      {"mask of shape (batch, 1, q_len, kv_len)", "mask: batch - q_len kv_len"},
      {"query layout is BSHD", ": batch len num_heads head_dim"},
      {"queries as (batch * num_heads, q_len, head_dim)",
       "queries: batch*num_heads q_len head_dim"},
  };
  for (const Stated& each : lines) {
    const std::vector<StatedLayout> found = layouts_stated_in(each.line);
    ASSERT_EQ(found.size(), 1u) << each.line;
    EXPECT_EQ(axes_text(found[0]), each.axes) << each.line;
  }
  for (const char* line : {"x.view(batch, heads, length, head_dim)", "torch.Size([2, 8, 4, 32])",
                           "y = f(a, b)", "x = x[batch, heads]", "# (batch, q_len, head_dim)",
                           "as is usual (see above, or ask)", "BSHD alone says nothing"})
    EXPECT_TRUE(layouts_stated_in(line).empty()) << line;
}

TEST(StatedLayouts, SpeakForTheirTensorAlone) {
  const std::vector<StatedLayout> stated =
      layouts_stated_in("keys are (batch, num_heads, kv_len, head_dim)");
  const Axis right[] = {Axis::batch, Axis::num_heads, Axis::kv_len, Axis::head_dim},
             other[] = {Axis::batch, Axis::kv_len, Axis::num_heads, Axis::head_dim};
  EXPECT_GT(by_stated(stated, Role::k, right), 3);
  EXPECT_LT(by_stated(stated, Role::k, other), by_stated(stated, Role::k, right) - 3);
  EXPECT_EQ(by_stated(stated, Role::q, right), 0);
}

}  // namespace
}  // namespace attnfuzz::triage
