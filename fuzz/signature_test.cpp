#include "fuzz/signature.h"

#include <gtest/gtest.h>

#include "fuzz/error_text.h"

namespace attnfuzz {
namespace {

Case named_case() {
  Case c;
  c.problem.batch = 2;
  c.problem.num_heads = 12;
  c.problem.num_kv_heads = 3;
  c.problem.q_len = 8;
  c.problem.kv_len = 11;
  c.problem.head_dim = c.problem.head_dim_v = 32;
  return c;
}

constexpr std::string_view broadcast =
    "The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension 0";

Verdict error_verdict(std::string text) {
  Verdict verdict;
  verdict.kind = VerdictKind::fail;
  verdict.failure = FailureKind::error;
  verdict.detail = std::move(text);
  return verdict;
}

FailureClass class_of(const Case& c, std::string text) {
  return classify(c, error_verdict(std::move(text)));
}

TEST(NumbersIn, KnowWhatANumberIs) {
  using Role = TextNumber::Role;
  const auto roles = [](std::string_view text) {
    std::vector<std::pair<int64_t, Role>> all;
    for (const TextNumber& number : numbers_in(text)) all.emplace_back(number.value, number.role);
    return all;
  };
  using Roles = std::vector<std::pair<int64_t, Role>>;
  EXPECT_EQ(roles("size 4 at dimension 1"), (Roles{{4, Role::size}, {1, Role::constant}}));
  EXPECT_EQ(roles("float32 sm_80 x2"), Roles{});
  EXPECT_EQ(roles("[2, 8]"), (Roles{{2, Role::size}, {8, Role::size}}));
  EXPECT_EQ(roles("missing 1 of 3"), (Roles{{1, Role::constant}, {3, Role::size}}));
  EXPECT_EQ(roles("at index 1, index 5 of"), (Roles{{1, Role::constant}, {5, Role::size}}));
  EXPECT_EQ(roles("you can either 1. make a new one or 2. 'adjust' it to 2."),
            (Roles{{1, Role::constant}, {2, Role::constant}, {2, Role::size}}));
  EXPECT_EQ(roles("sys.argv[1:]"), (Roles{{1, Role::constant}}));
  EXPECT_EQ(roles("args[2]: size 8"), (Roles{{2, Role::constant}, {8, Role::size}}));
  EXPECT_EQ(roles("output [8], f32[2]"), (Roles{{8, Role::size}, {2, Role::size}}));
  EXPECT_EQ(roles("at 0x7f3a"), (Roles{{0, Role::noise}}));
  EXPECT_EQ(roles("error 0.25 on 1e-05"), (Roles{{0, Role::noise}, {0, Role::noise}}));
  EXPECT_EQ(roles("attention.cc:45"), (Roles{{45, Role::noise}}));
  EXPECT_EQ(roles("==4711==ERROR: 8"), (Roles{{4711, Role::noise}, {8, Role::size}}));
  EXPECT_EQ(roles("axis -1 of 3."), (Roles{{1, Role::constant}, {3, Role::size}}));
  EXPECT_EQ(roles("99999999999999999999"), (Roles{{0, Role::noise}}));
}

TEST(DedupText, LeavesTheStackOut) {
  EXPECT_EQ(dedup_text("bad size\nException raised from f at x.cpp:12"), "bad size");
  EXPECT_EQ(dedup_text("bad size"), "bad size");
  EXPECT_EQ(dedup_text("SEGV on unknown address\n    #0 0x7f3a in f x.cpp:18\n    #1 0x7f3b"),
            "SEGV on unknown address");
}

TEST(NamedSizes, NameAxesAndWhatIsMadeOfThem) {
  Case c = named_case();
  c.problem.memory_kv = 3;
  c.problem.mask.rules = {{find_rule("window"), {int64_t{5}, int64_t{0}}}};
  std::map<std::string, int64_t> sizes;
  for (const NamedSize& size : named_sizes(c)) sizes[size.name] = size.value;
  EXPECT_EQ(sizes["q_len"], 8);
  EXPECT_EQ(sizes["kv_len"], 11);
  EXPECT_EQ(sizes["group"], 4);
  EXPECT_EQ(sizes["hidden"], 384);
  EXPECT_EQ(sizes["kv_hidden"], 96);
  EXPECT_EQ(sizes["tokens"], 16);
  EXPECT_EQ(sizes["memory_kv+kv_len"], 14);
  EXPECT_EQ(sizes["window.left"], 5);
  EXPECT_EQ(sizes.count("window.right"), 0U);
}

TEST(NamedSizes, NameACachesLengths) {
  Case c = named_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache = Cache{CacheKind::paged, 64, 7};
  c.steps = {{.op = StepOp::prefill, .q_len = 9, .lens = {9, 5}, .rows = {}, .length = 0},
             {.op = StepOp::append, .q_len = 3, .lens = {}, .rows = {}, .length = 0}};
  const std::vector<NamedSize> sizes = named_sizes(c);
  const auto has = [&](std::string_view name, int64_t value) {
    return std::any_of(sizes.begin(), sizes.end(), [&](const NamedSize& size) {
      return size.name == name && size.value == value;
    });
  };
  EXPECT_TRUE(has("capacity", 64));
  EXPECT_TRUE(has("page_size", 7));
  EXPECT_TRUE(has("q_len", 9));
  EXPECT_TRUE(has("past_len", 5));
  EXPECT_TRUE(has("total_len", 12));
  EXPECT_TRUE(has("pages", 2));
}

TEST(Annotate, NamesTheAxes) {
  EXPECT_EQ(annotate(broadcast, named_case()),
            "The size of tensor a (q_len=8) must match the size of tensor b (batch=2) at "
            "non-singleton dimension 0");
  EXPECT_EQ(annotate("no number", named_case()), "no number");
}

TEST(Annotate, UsesWhatWasLearned) {
  Case c = named_case();
  c.problem.num_kv_heads = 2;  // as many as the batch
  const FailureClass one = class_of(c, std::string(broadcast));
  FailureClass learned = one;
  Case other = c;
  other.problem.batch = 5;
  learned.narrow(class_of(other, std::string(broadcast)));
  EXPECT_EQ(annotate("b (2)", c), "b (batch=2)");
  EXPECT_EQ(annotate("a (8) b (2)", c, &learned), "a (q_len=8) b (num_kv_heads=2)");
}

TEST(Signature, DoesNotDependOnTheSizes) {
  Case other = named_case();
  other.problem.q_len = 5;
  other.problem.batch = 7;
  const std::string text =
      "The size of tensor a (5) must match the size of tensor b (7) at non-singleton dimension 0";
  const std::string one = signature("t", named_case(), error_verdict(std::string(broadcast)));
  EXPECT_EQ(one, signature("t", other, error_verdict(text)));
  EXPECT_NE(one, signature("u", other, error_verdict(text)));
  EXPECT_NE(one, signature("t", named_case(), error_verdict("The size of tensor a (8)")));
  EXPECT_EQ(one.substr(0, 6), "error-");
  EXPECT_EQ(one.size(), 6U + 12U);
}

/// Signatures are names of folders and rows of stores: they must not change between versions.
TEST(Signature, IsTheSameInEveryEnvironment) {
  const Verdict verdict = error_verdict(std::string(broadcast));
  EXPECT_EQ(signature("transformers:llama4-eager@transformers-4.51.0", named_case(), verdict),
            signature("transformers:llama4-eager", named_case(), verdict));
  EXPECT_NE(signature("transformers:llama4-eager", named_case(), verdict),
            signature("transformers:llama4-sdpa", named_case(), verdict));
}

TEST(Signature, IsTheSameWhereverAPlugInLies) {
  const Verdict verdict = error_verdict(std::string(broadcast));
  EXPECT_EQ(signature("./mine.so", named_case(), verdict),
            signature("/some/p@th/mine.so", named_case(), verdict));
  EXPECT_NE(signature("./mine.so", named_case(), verdict),
            signature("./other.so", named_case(), verdict));
}

TEST(Signature, IsTheMostSpecificMeaning) {
  FailureClass one;
  one.meanings = {std::string(faults()[2].name)};
  FailureClass two = one;
  two.meanings.emplace_back(faults()[5].name);
  std::sort(two.meanings.begin(), two.meanings.end());
  EXPECT_EQ(signature("t", one), signature("t", two));
}

TEST(FailureClass, NumbersAreOfTheStepsUpToTheOneThatFailed) {
  Case c = named_case();
  c.problem.q_len = c.problem.kv_len = 0;
  c.cache.emplace();
  c.steps = {{StepOp::prefill, 22, {}, {}, 0}, {StepOp::decode, 1, {}, {}, 0}};
  Verdict verdict = error_verdict("the cache holds 23 tokens");
  EXPECT_FALSE(classify(c, verdict).numbers[0].names.empty());
  verdict.steps = 1;
  EXPECT_TRUE(classify(c, verdict).numbers[0].names.empty());
}

TEST(FailureClass, HiddenKeysThatComeThroughAreOneFailure) {
  Case c = named_case();
  Verdict verdict = error_verdict("");
  verdict.failure = FailureKind::nan;
  verdict.leaked = true;
  c.data.nonfinite = NonFinite::nan_padding;
  const std::string one = signature("t", c, verdict);
  c.data.nonfinite = NonFinite::inf_padding;
  c.problem.softcap = 2;
  EXPECT_EQ(one, signature("t", c, verdict));
  verdict.leaked = false;
  EXPECT_NE(one, signature("t", c, verdict));
}

TEST(Signature, IsStable) {
  EXPECT_EQ(signature("t", named_case(), error_verdict(std::string(broadcast))),
            "error-f3c0f86f48f2");
}

TEST(FailureClass, KeepsAxesApart) {
  const FailureClass known = class_of(named_case(), std::string(broadcast));
  Case smaller = named_case();
  smaller.problem.q_len = 3;  // as many as KV heads: the number could be either
  EXPECT_FALSE(known.admits(class_of(smaller,
                                     "The size of tensor a (3) must match the size of tensor b (2) "
                                     "at non-singleton dimension 0")));
  smaller.problem.q_len = 5;
  EXPECT_TRUE(known.admits(class_of(smaller,
                                    "The size of tensor a (5) must match the size of tensor b (2) "
                                    "at non-singleton dimension 0")));
  smaller.problem.q_len = 4;  // another axis is named now
  EXPECT_FALSE(known.admits(class_of(
      smaller,
      "The size of tensor a (11) must match the size of tensor b (2) at non-singleton dimension "
      "0")));
}

TEST(FailureClass, NarrowsToTheAxisThatFollows) {
  Case c = named_case();
  c.problem.num_kv_heads = 2;
  FailureClass known = class_of(c, "got 2 of 7");
  EXPECT_TRUE(known.is_ambiguous());
  Case other = c;
  other.problem.batch = 3;
  const FailureClass seen = class_of(other, "got 3 of 7");
  ASSERT_TRUE(known.covers(seen));
  known.narrow(seen);
  EXPECT_EQ(known.numbers[0].names, std::vector<std::string>{"batch"});
  EXPECT_FALSE(known.numbers[0].constant);
  EXPECT_TRUE(known.numbers[1].names.empty());
  EXPECT_EQ(known.numbers[1].constant, 7);
}

TEST(FailureClass, UnexplainedMismatchesDifferByFeatures) {
  Verdict mismatch;
  mismatch.kind = VerdictKind::fail;
  Case plain = named_case(), softcap = named_case();
  softcap.problem.softcap = 2;
  const FailureClass few = classify(plain, mismatch), more = classify(softcap, mismatch);
  EXPECT_TRUE(few.covers(more));
  EXPECT_FALSE(more.covers(few));
  EXPECT_TRUE(more.admits(few));
  EXPECT_FALSE(few.admits(more));
}

}  // namespace
}  // namespace attnfuzz
