#include "reports/triage/triage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "oracle/error.h"
#include "reports/triage/search.h"
#include "reports/triage/write.h"

namespace attnfuzz::triage {
namespace {

constexpr const char* kMaskAxis =
    "RuntimeError: The size of tensor a (8) must match the size of tensor b (2) at non-singleton "
    "dimension 0";

std::string axes(const Reading& reading) {
  std::string all;
  for (const NumberAxis& number : reading.numbers)
    all += (all.empty() ? "" : " ") + number.capture + ":" + number.words();
  return all;
}

TEST(Traceback, TheLastErrorLineIsRead) {
  const Traceback read = read_traceback(
      "some words\nTraceback (most recent call last):\n  File \"/x/site-packages/transformers/"
      "models/llama4/modeling_llama4.py\", line 9, in forward\n    attn = attn + causal_mask\n"
      "torch.nn.RuntimeError: first\n\nDuring handling of the above\n[rank3]: │ ValueError: second "
      "line\n  and its end\n\nthanks!");
  EXPECT_EQ(read.error, "ValueError");
  EXPECT_EQ(read.message, "second line and its end");
  EXPECT_EQ(read.package, "transformers");
}

TEST(Traceback, AnyTextIsRead) {
  for (const char* text : {"", "\n", ": ", "Error: ", "x: y", "\xFF\xFE", "size of tensor a ("}) {
    const Reading reading = read_error(text);
    EXPECT_FALSE(reading_text(reading).empty());
    EXPECT_FALSE(triage_json(reading, {}, {}).empty());
  }
}

TEST(Traceback, TemplatesForgetSizesAndKeepPlaces) {
  EXPECT_EQ(text_template("size of tensor a (8) at dimension 0"),
            "size of tensor a ({}) at dimension 0");
  EXPECT_EQ(text_template("shape=(2, tensor(8192))"), "shape=({}, {})");
}

TEST(Shapes, AreReadByLayout) {
  const auto known = parse_shapes("q=2x8x4x32,k=2x2x6x32, mask=2x1x4x6", "bhsd");
  Reading reading;
  reading.known = known;
  EXPECT_EQ(reading.size("num_heads"), 8);
  EXPECT_EQ(reading.size("num_kv_heads"), 2);
  EXPECT_EQ(reading.size("kv_len"), 6);
  reading.known = parse_shapes("query=2x4x8x32", "bshd");
  EXPECT_EQ(reading.size("num_heads"), 8);
  for (const char* wrong : {"q", "q=", "q=2y3", "q=2x3x4x5x6", "nothing=2x3", "q=-1x2x3x4", "q=2x"})
    EXPECT_THROW(parse_shapes(wrong, "bhsd"), InputError) << wrong;
}

TEST(Shapes, AreFoundInTheText) {
  Reading reading;
  reading.known = sizes_in("Model(x, heads=8, num_mem_kv=128) with B, S = 4, 1500 and dropout=0.1");
  EXPECT_EQ(reading.size("num_heads"), 8);
  EXPECT_EQ(reading.size("memory_kv"), 128);
  EXPECT_EQ(reading.size("batch"), 4);
  EXPECT_EQ(reading.size("q_len"), 1500);
}

TEST(Reading, PlaceAndValueNameTheNumbers) {
  const std::string by_place =
      axes(read_error(std::string("mask = chunked_attention_mask & padding\n") + kMaskAxis));
  EXPECT_EQ(by_place, "a:q_len=8 (mask) b:batch=2 (mask)");
  const std::string by_value = axes(read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd")));
  EXPECT_EQ(by_value, "a:q_len=8 b:batch=2");
}

TEST(Reading, NamesTheCause) {
  const Reading reading = read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd"));
  ASSERT_TRUE(reading.cause);
  EXPECT_EQ(reading.cause->name, "mask-axis");
  EXPECT_EQ(reading.named_core(),
            "size of tensor a (q_len=8) must match the size of tensor b (batch=2) at non-singleton "
            "dimension 0");
}

TEST(Reading, RelationsAreNoted) {
  const Reading twice = read_error(
      "ValueError: Attention mask should be of size (4, 1, 240, 480), but is torch.Size([4, 1, "
      "240, "
      "240])");
  ASSERT_FALSE(twice.notes.empty());
  EXPECT_NE(twice.notes[0].find("480 is twice 240"), std::string::npos) << twice.notes[0];
  const Reading viewed = read_error(
      ".view(bsz, q_len, self.num_heads, self.head_dim)\nRuntimeError: shape '[16, 2048, 32, 128]' "
      "is "
      "invalid for input of size 33554432");
  ASSERT_FALSE(viewed.notes.empty());
  EXPECT_NE(viewed.notes[0].find("num_kv_heads=8"), std::string::npos) << viewed.notes[0];
}

/// Texts as PyTorch 2.13, NumPy 2, JAX and ONNX Runtime write them, without a line of code.
struct Known {
  const char *text, *pattern, *axes, *says;
};
constexpr Known kKnown[] = {
    {"RuntimeError: Expected size for first two dimensions of batch2 tensor to be: [16, 64] but "
     "got: [16, 32].",
     "head-dim", "a:batch*num_heads=16 c:head_dim=64 b:batch*num_kv_heads=16 d:head_dim=32",
     "(head_dim=64 and head_dim=32)"},
    {"RuntimeError: einsum(): subscript d has size 32 for operand 1 which does not broadcast with "
     "previously seen size 64",
     "head-dim", "a:head_dim=64 b:head_dim=32", "for head_dim=32 in operand 1"},
    {"RuntimeError: Sizes of tensors must match except in dimension 2. Expected size 8 but got "
     "size 32 for tensor number 1 in the list.",
     "kv-heads", "a:num_kv_heads=8 b:num_kv_heads=32", "different numbers of heads"},
    {"RuntimeError: stack expects each tensor to be equal size, but got [2, 8, 5, 64] at entry 0 "
     "and [2, 2, 5, 64] at entry 1",
     "kv-heads",
     "one:batch=2 one:num_kv_heads=8 one:kv_len=5 one:head_dim=64 two:batch=2 two:num_kv_heads=2 "
     "two:kv_len=5 two:head_dim=64",
     "where num_kv_heads=8 meets num_kv_heads=2"},
    {"IndexError: index_copy_(): Number of indices (3) should be equal to source.size(dim) (5)",
     "mask-keys", "a:kv_len=3 b:kv_len=5", "3 positions are given for 5 tokens"},
    {"RuntimeError: expand(torch.FloatTensor{[2, 1, 5, 5]}, size=[2, 8, 5]): the number of sizes "
     "provided (3) must be greater or equal to the number of dimensions in the tensor (4)",
     "expand", nullptr, "expanded to (num_heads=2, q_len=8, kv_len=5), which has fewer axes"},
    {"AssertionError: Expected key_padded_mask.shape[0] to be 2, but got 5", "batch-size",
     "b:batch=2 a:batch=5", "must be [batch, kv_len]"},
    {"RuntimeError: mat1 and mat2 must have the same dtype, but got Float and Half", "dtype-mix",
     "", "two dtypes"},
    {"RuntimeError: Size does not match at dimension 0 expected index [3, 8, 5] to be no larger "
     "than self [2, 8, 5] apart from dimension 1",
     "kv-heads", nullptr, "where num_heads=3 meets num_heads=2"},
    {"RuntimeError: Expected index [2, 8, 5, 70] to be no larger than self [2, 8, 10, 64] apart "
     "from dimension 2 and to be no larger size than src [2, 8, 5, 64]",
     "mask-keys", nullptr, "where kv_len=70 meets kv_len=64"},
    {"IndexError: index 12 is out of bounds for dimension 0 with size 10", "index-range",
     "b:max_positions=10", "Index 12"},
    {"/aten/src/ATen/native/cuda/Indexing.cu:1290: indexSelectLargeIndex: block: [3,0,0], thread: "
     "[0,0,0] Assertion `srcIndex < srcSelectDimSize` failed.",
     "gather-range", "", "larger than the table"},
    {"ValueError: operands could not be broadcast together with shapes (2,8,5,5) (2,1,5,7) ",
     "mask-keys", nullptr, "where kv_len=5 meets kv_len=7"},
    {"ValueError: operands could not be broadcast together with remapped shapes "
     "[original->remapped]: (2,8,5,64)->(2,8,5,newaxis,64) (2,8,7,32)->(2,8,newaxis,7,32) ",
     "einsum",
     "one:batch=2 one:num_heads=8 one:q_len=5 one:head_dim=64 two:batch=2 two:num_kv_heads=8 "
     "two:kv_len=7 two:head_dim=32",
     "(batch=2, num_kv_heads=8, kv_len=7, head_dim=32)"},
    {"ValueError: operands could not be broadcast together with remapped shapes "
     "[original->remapped]: (2,1,5,5)  and requested shape (2,8,5,7)",
     "mask-keys", nullptr, "where kv_len=5 meets kv_len=7"},
    {"ValueError: could not broadcast input array from shape (2,8,5,64) into shape (2,8,2,64)",
     "mask-keys", nullptr, "where kv_len=5 meets kv_len=2"},
    {"ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc "
     "signature (n?,k),(k,m?)->(n?,m?) (size 32 is different from 64)",
     "head-dim", "a:head_dim=32 b:head_dim=64", "The inner axes of a product"},
    {"ValueError: all the input array dimensions except for the concatenation axis must match "
     "exactly, but along dimension 1, the array at index 0 has size 8 and the array at index 1 has "
     "size 2",
     "kv-heads", "a:num_kv_heads=8 b:num_kv_heads=2", "Arrays are joined"},
    {"ValueError: cannot reshape array of size 5120 into shape (2,5,7,64)", "reshape",
     "shape:batch=2 shape:q_len=5 shape:num_heads=7 shape:head_dim=64", "num_heads=7"},
    {"TypeError: dot_general requires contracting dimensions to have the same shape, got (64,) and "
     "(32,).",
     "matmul-shapes", "one:head_dim=64 two:head_dim=32", "differ"},
    {"TypeError: Cannot concatenate arrays with shapes that differ in dimensions other than the "
     "one "
     "being concatenated: concatenating along dimension 2 for shapes (2, 8, 5, 64), (2, 2, 4, 64).",
     "kv-heads", nullptr, "where num_kv_heads=8 meets num_kv_heads=2"},
    {"ValueError: Size of label 'd' for operand 1 (32) does not match previous terms (64).",
     "head-dim", "b:head_dim=32 a:head_dim=64", "for head_dim=32 in operand 1"},
    {"left operand cannot broadcast on dim 3 LeftShape: {2,8,5,5}, RightShape: {2,1,5,7}",
     "mask-keys", nullptr, "where kv_len=5 meets kv_len=7"},
};

TEST(Reading, KnownTextsWithoutCode) {
  for (const Known& each : kKnown) {
    const Reading reading = read_error(each.text);
    ASSERT_TRUE(reading.cause) << each.text;
    EXPECT_EQ(reading.pattern, each.pattern) << each.text;
    std::string told = axes(reading);
    for (const std::string_view of : {" (mask)", " (model)"})
      for (size_t at = told.find(of); at != told.npos; at = told.find(of))
        told.erase(at, of.size());
    if (each.axes != nullptr) {
      std::vector<std::string> got, want;
      std::istringstream a(told), b(each.axes);
      for (std::string word; a >> word;) got.push_back(word);
      for (std::string word; b >> word;) want.push_back(word);
      std::sort(got.begin(), got.end());
      std::sort(want.begin(), want.end());
      EXPECT_EQ(got, want) << each.text << "\n" << told;
    }
    EXPECT_NE(reading.cause->words.find(each.says), std::string::npos) << reading.cause->words;
    EXPECT_EQ(reading.cause->words.find('{'), std::string::npos) << reading.cause->words;
  }
}

TEST(Reading, WhatNoLineShowsIsAssumed) {
  EXPECT_NE(reading_text(read_error(kMaskAxis)).find("assumed: the text shows none"),
            std::string::npos);
  const std::string shown = reading_text(
      read_error(std::string("mask = chunked_attention_mask & padding\n") + kMaskAxis));
  EXPECT_EQ(shown.find("assumed"), std::string::npos) << shown;
}

TEST(Reading, TokensAreCountedTwiceAndFeaturesAreNot) {
  for (const char* text :
       {"RuntimeError: mat1 and mat2 shapes cannot be multiplied (10x64 and 32x7)",
        "RuntimeError: Expected size for first two dimensions of batch2 tensor to be: [16, 64] but "
        "got: [16, 32]."}) {
    const Reading reading = read_error(text);
    EXPECT_TRUE(reading.notes.empty()) << reading.notes[0];
  }
}

TEST(Reading, AViewIsOfNoMask) {
  for (const NumberAxis& number :
       read_error("RuntimeError: shape '[2, 5, 8, 64]' is invalid for input of size 9").numbers)
    EXPECT_EQ(number.of, "");
}

TEST(Proposals, AreClaimedAndDistinct) {
  const auto target = open_target("cpu:naive");
  const Reading reading = read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd"));
  const auto proposals = propose(reading, target->info().capabilities);
  ASSERT_GT(proposals.size(), 10u);
  for (const Proposal& each : proposals) {
    EXPECT_EQ(target->info().capabilities.why_not(each.c), "") << each.why;
    EXPECT_EQ(each.c.problem.batch, 2);
  }
}

struct Documented {
  const char *specimen, *text, *shapes;
};
constexpr Documented kDocumented[] = {
    {"specimen:llama4-chunked-eager", kMaskAxis, "q=2x4x8x16"},
    {"specimen:xtransformers-memory-kv-one-head",
     "RuntimeError: Sizes of tensors must match except in dimension 2. Expected size 4 but got "
     "size 1 "
     "for tensor number 1 in the list.",
     "q=2x4x5x8,k=2x1x5x8"},
    {"specimen:llama4-chunked-flex",
     "ValueError: block_mask was created for block_mask.shape=(2, 1, 8, 8192) but got q_len=8 and "
     "kv_len=8.",
     ""},
    {"specimen:llama4-flex-dynamic-cache",
     "TypeError: pad(): argument 'pad' failed to unpack the object at pos 2 with error \"type must "
     "be "
     "tuple of ints,but got NoneType\"",
     ""},
};

TEST(Search, FindsTheDocumentedErrors) {
  for (const Documented& each : kDocumented) {
    const auto target = open_target(each.specimen);
    const Reading reading = read_error(each.text, parse_shapes(each.shapes, "bhsd"));
    const Search found = search(*target, reading, {});
    ASSERT_TRUE(found.finding) << search_text(found);
    EXPECT_TRUE(same_complaint(reading, found.finding->last.outcome.text));
    if (*each.shapes == '\0') continue;
    EXPECT_TRUE(found.same_axes) << search_text(found);
    ASSERT_TRUE(found.same_numbers) << one_line(found.finding->shrunk.c);
    EXPECT_NE(examine(*target, *found.same_numbers).outcome.text.find(reading.core),
              std::string::npos);
  }
}

TEST(Search, FindsNothingInARightTarget) {
  const auto target = open_target("fixed:llama4-chunked-eager");
  SearchOptions options;
  options.cases = 20;
  const Search found = search(*target, read_error(kMaskAxis), options);
  EXPECT_FALSE(found.finding);
  EXPECT_EQ(found.generated, 20u);
  EXPECT_GT(found.proposals, 0u);
}

}  // namespace
}  // namespace attnfuzz::triage
