#include "reports/triage/triage.h"

#include <gtest/gtest.h>

#include <string>

#include "oracle/error.h"
#include "reports/triage/search.h"
#include "reports/triage/write.h"

namespace attnfuzz::triage {
namespace {

constexpr const char* kMaskAxis =
    "RuntimeError: The size of tensor a (8) must match the size of tensor b (2) at non-singleton "
    "dimension 0";

constexpr const char* kMaskLength =
    "RuntimeError: The size of tensor a (63) must match the size of tensor b (59) at non-singleton "
    "dimension 3";

std::string axes(const Reading& reading) {
  std::string all;
  for (const NumberAxis& number : reading.numbers)
    all += (all.empty() ? "" : " ") + number.axis + "=" + std::to_string(number.value);
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
  reading = read_error("Model(x, heads=8, num_mem_kv=128) with B, S = 4, 1500 and dropout=0.1\n" +
                       std::string(kMaskLength));
  EXPECT_EQ(reading.size("num_heads"), 8);
  EXPECT_EQ(reading.size("memory_kv"), 128);
  EXPECT_EQ(reading.size("batch"), 4);
  EXPECT_EQ(reading.size("q_len"), 1500);
}

TEST(Reading, PlaceAndValueNameTheNumbers) {
  const std::string by_place =
      axes(read_error(std::string("mask = chunk_mask & padding_mask\n") + kMaskLength));
  EXPECT_EQ(by_place, "kv_len=63 kv_len=59");
  const std::string by_value = axes(read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd")));
  EXPECT_EQ(by_value, "q_len=8 batch=2");
}

TEST(Reading, NamesTheMistake) {
  const Reading reading = read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd"));
  ASSERT_TRUE(reading.cause);
  EXPECT_EQ(reading.cause->name, "mask-axis");
  EXPECT_NE(reading.named_core().find("size of tensor a (q_len=8) must match the size of tensor b "
                                      "(batch=2) at non-singleton dimension 0"),
            std::string::npos)
      << reading.named_core();
}

/// What words beside a number say of it.
struct Worded {
  const char *text, *axes;
};
constexpr Worded kWorded[] = {
    {"unsupported sizes B=[3], N=[14], Sq=[90], Skv=[1100]",
     "batch=3 num_heads=14 q_len=90 kv_len=1100"},
    {"Expect (24 <= headDim) and (tokensPerPage <= 48)", "head_dim=24 page_size=48"},
    {"ValueError: Total number of attention heads (14) must be divisible by tensor parallel size "
     "(4).",
     "num_heads=14 other=4"},
};

TEST(Reading, WordsBesideANumberNameIt) {
  for (const Worded& each : kWorded) EXPECT_EQ(axes(read_error(each.text)), each.axes) << each.text;
}

TEST(Reading, FewerHeadsWithKeysAreTheSmallerNumber) {
  EXPECT_EQ(
      axes(read_error("num_key_value_heads is set, enable_gqa was lost\nRuntimeError: The size "
                      "of tensor a (24) must match the size of tensor b (6) at non-singleton "
                      "dimension 1")),
      "num_heads=24 num_kv_heads=6");
}

TEST(Reading, AnOpenOneNamesItsMistakeOnACondition) {
  Reading reading;
  reading.cause = Cause{"mask-keys", "One side is longer."};
  reading.sureness = Sureness::open;
  EXPECT_EQ(mistake_text(reading), "If the reading is right: One side is longer.");
  reading.sureness = Sureness::likely;
  EXPECT_EQ(mistake_text(reading), "One side is longer.");
}

TEST(Reading, ANumberIsToldOnce) {
  Reading reading;
  reading.numbers = {{7, "hidden", "", std::string::npos},
                     {3, "batch", "mask", 4},
                     {-1, "q_len", "mask", 8},
                     {3, "batch", "", 12},
                     {3, "num_heads", "", 16}};
  reading.context = 1;
  const std::vector<NumberAxis> told = numbers_told(reading);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].axis, "num_heads");
}

TEST(Reading, RelationsAreNoted) {
  const Reading twice = read_error(
      "ValueError: Attention mask should be of size (4, 1, 240, 480), but is torch.Size([4, 1, "
      "240, 240])");
  ASSERT_FALSE(twice.notes.empty());
  EXPECT_NE(twice.notes[0].find("480 is twice 240"), std::string::npos) << twice.notes[0];
  const Reading viewed = read_error(
      ".view(bsz, q_len, self.num_heads, self.head_dim)\nRuntimeError: shape '[16, 2048, 32, 128]' "
      "is invalid for input of size 33554432");
  ASSERT_FALSE(viewed.notes.empty());
  EXPECT_NE(viewed.notes[0].find("8 KV heads were viewed as 32"), std::string::npos)
      << viewed.notes[0];
}

/// What meets and the sizes that differ choose the mistake; none contradicts the reading.
struct Mistaken {
  const char *text, *name;
};
constexpr Mistaken kMistaken[] = {
    {"y = x * cos + rotate_half(x) * sin\nRuntimeError: The size of tensor a (2049) must match the "
     "size of tensor b (2048) at non-singleton dimension 2",
     "rotary-length"},
    {"scores = q @ k.transpose(-1, -2)\nRuntimeError: The size of tensor a (32) must match the "
     "size "
     "of tensor b (8) at non-singleton dimension 1",
     "kv-heads"},
    {"attn = attn + attention_mask\nRuntimeError: The size of tensor a (63) must match the size of "
     "tensor b (59) at non-singleton dimension 3",
     "mask-keys"},
    {"RuntimeError: mat1 and mat2 must have the same dtype, but got Float and Half", "dtype-mix"},
};

TEST(Reading, MistakesFollowFromWhatWasRead) {
  for (const Mistaken& each : kMistaken) {
    const Reading reading = read_error(each.text);
    ASSERT_TRUE(reading.cause) << each.text;
    EXPECT_EQ(reading.cause->name, each.name) << each.text << "\n" << axes(reading);
    EXPECT_EQ(reading.cause->words.find('{'), std::string::npos) << reading.cause->words;
  }
}

TEST(Reading, AnUnsureOneSaysWhatWouldDecide) {
  const Reading bare = read_error(kMaskAxis);
  EXPECT_NE(bare.sureness, Sureness::sure);
  EXPECT_FALSE(bare.questions.empty());
}

TEST(Reading, WhatIsNoShapeErrorIsNotRead) {
  const Reading reading = read_error("KeyError: 'model.embed'");
  EXPECT_EQ(reading.sureness, Sureness::none);
  EXPECT_TRUE(reading.numbers.empty());
  EXPECT_NE(reading_text(reading).find("not read"), std::string::npos);
}

TEST(Proposals, AreClaimedAndDistinct) {
  const auto target = open_target("cpu:naive");
  const Reading reading = read_error(kMaskAxis, parse_shapes("q=2x4x8x16", "bhsd"));
  const auto proposals = propose(reading, target->info().capabilities);
  ASSERT_GT(proposals.size(), 10u);
  for (const Proposal& each : proposals) {
    EXPECT_EQ(target->info().capabilities.rejection_reason(each.c), "") << each.why;
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
