#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "reports/causes/causes.h"
#include "reports/sample_findings.h"

namespace attnfuzz {
namespace {

TEST(MatchText, NumbersShapesAndGaps) {
  const auto m = match_text("got {a}, not {b}", "Oh: got  7, Not -3.");
  ASSERT_TRUE(m);
  EXPECT_EQ(m->at("a")[0].value, 7);
  EXPECT_EQ(m->at("a")[0].offset, 9u);
  EXPECT_EQ(m->at("b")[0].value, -3);
  EXPECT_FALSE(match_text("got {a}, not {b}", "got 7, not x"));
  EXPECT_FALSE(match_text("got {a}", "got 99999999999999999999"));

  const auto s = match_text("shapes {one:s} {two:s}", "with shapes (2,4,8) (8,2) ");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->at("one").size(), 3u);
  EXPECT_EQ(s->at("two").size(), 2u);
  EXPECT_EQ(s->at("two")[1].value, 2);

  EXPECT_TRUE(match_text("pad()*NoneType", "pad(): wants ints, got NoneType"));
  EXPECT_FALSE(match_text("pad()*NoneType", "pad(): wants ints,\ngot NoneType"));
}

TEST(MatchText, AnyTextIsSafe) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    for (const auto& table : {pytorch_patterns, onnxruntime_patterns, array_patterns, gpu_patterns})
      for (const TextPattern& row : table) match_text(row.pattern, text);
  }));
}

/// Sizes of the case: batch 2, num_heads 4, num_kv_heads 1, q_len 5, kv_len 11, head_dim 16,
/// memory_kv 3, chunk of 8192.
Case text_case() {
  Case c = samples::small_case(
      R"({"align":"top_left","rules":[{"rule":"chunk","size":8192,"origin":"slot"}]})");
  c.problem.num_kv_heads = 1;
  c.problem.q_len = 5;
  c.problem.memory_kv = 3;
  return c;
}

struct Example {
  const char* text;
  const char* name;
  const char* says;  ///< a part of the words
};

/// Texts as the packages write them; the first six are those of documented bugs.
const Example kExamples[] = {
    {"The size of tensor a (5) must match the size of tensor b (2) at non-singleton dimension 0",
     "mask-axis", "tensor a (q_len=5) must match tensor b (batch=2)"},
    {"The size of tensor a (8192) must match the size of tensor b (11) at non-singleton dimension "
     "3",
     "mask-limit", "chunk, window or capacity is used where the present length is needed"},
    {"block_mask was created for block_mask.shape=(2, 1, 5, 8192) but got q_len=5 and kv_len=11. "
     "As "
     "the block mask was created for a larger length than you're using it for",
     "block-mask", "the call has q_len=5 queries and kv_len=11 keys"},
    {"TypeError: pad(): argument 'pad' failed to unpack the object at pos 2 with error \"type must "
     "be tuple of ints,but got NoneType\"",
     "unbounded-cache", "grows without a limit"},
    {"Sizes of tensors must match except in dimension 2. Expected size 4 but got size 1 for tensor "
     "number 1 in the list.",
     "kv-heads",
     "made for all query heads (num_heads=4) meets a tensor with the KV heads "
     "(num_kv_heads=1)"},
    {"The expanded size of the tensor (5) must match the existing size (8) at non-singleton "
     "dimension 2.  Target sizes: [2, 4, 5, 8].  Tensor sizes: [2, 1, 8]",
     "expand", "axis 2 is to be expanded to q_len=5"},
    {"mat1 and mat2 shapes cannot be multiplied (10x64 and 16x64)", "matmul-shapes",
     "gets hidden=64 features"},
    {"expected m1 and m2 to have the same dtype, but got: float != c10::BFloat16", "dtype-mix",
     "two dtypes"},
    {"shape '[2, 5, 4, 16]' is invalid for input of size 160", "reshape",
     "160 elements is viewed as (batch=2, q_len=5, num_heads=4, head_dim=16)"},
    {"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: past_key for "
     "the following indices\n index: 2 Got: 5 Expected: 11",
     "mask-length", "q_len=5"},
    {"operands could not be broadcast together with shapes (2,4,5,11) (2,1,5,5) ", "mask-length",
     "(batch=2, num_heads=4, q_len=5, kv_len=11) and (batch=2, num_kv_heads=1, q_len=5, q_len=5) "
     "are combined elementwise, where kv_len=11 meets q_len=5. Likely, "},
    {"Expected size for first two dimensions of batch2 tensor to be: [8, 16] but got: [8, 11].",
     "head-dim-axis", "the head size (head_dim=16)"},
    {"Incompatible shapes for broadcasting: (2, 4, 5, 11) and requested shape (5, 11)", "broadcast",
     "kv_len=11"},
    {"triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 180224, "
     "Hardware limit: 101376. Reducing block sizes or `num_stages` may help.",
     "shared-memory", "180224 bytes"},
    {"CUDA error: an illegal memory access was encountered", "illegal-access", "bound check"},
};

TEST(CausesFromText, KnownTexts) {
  for (const Example& example : kExamples) {
    const auto causes = causes_from_text(example.text, text_case());
    ASSERT_FALSE(causes.empty()) << example.text;
    EXPECT_EQ(causes[0].name, example.name) << example.text;
    EXPECT_NE(causes[0].words.find(example.says), std::string::npos) << example.text << "\n"
                                                                     << causes[0].words;
    EXPECT_EQ(causes[0].words.find('{'), std::string::npos) << causes[0].words;
  }
}

TEST(CausesFromText, NamesThatTheTextGivesAreKept) {
  Case c = text_case();
  c.problem.kv_len = 5;
  const char* text =
      "block_mask was created for block_mask.shape=(2, 1, 5, 8192) but got q_len=5 "
      "and kv_len=5.";
  EXPECT_NE(causes_from_text(text, c).at(0).words.find("q_len=5 queries and kv_len=5 keys"),
            std::string::npos);
  EXPECT_NE(annotate(text, c).find("but got q_len=5 and kv_len=5."), std::string::npos);
}

TEST(CausesFromText, UnknownTextHasNoCause) {
  EXPECT_TRUE(causes_from_text("something else", text_case()).empty());
  EXPECT_TRUE(causes_from_text("", text_case()).empty());
}

TEST(AxisPairs, EveryAxisNameHasAKind) {
  EXPECT_EQ(axis_kind("num_kv_heads"), AxisKind::kv_heads);
  EXPECT_EQ(axis_kind("num_heads"), AxisKind::heads);
  EXPECT_EQ(axis_kind("chunk.size"), AxisKind::limit);
  EXPECT_EQ(axis_kind("memory_kv+kv_len"), AxisKind::with_memory);
  EXPECT_EQ(axis_kind("kv_hidden"), AxisKind::tokens);
  for (const NamedSize& size : named_sizes(text_case()))
    EXPECT_NE(axis_kind(size.name), AxisKind::other) << size.name;
}

}  // namespace
}  // namespace attnfuzz
