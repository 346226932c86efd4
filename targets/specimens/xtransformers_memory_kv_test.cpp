#include "targets/specimens/specimen_testing.h"

namespace attnfuzz {
namespace {

using namespace testing;

/// The layer of the report: dim_head 8, 4 heads on one, 3 memory keys, x of (2, 5).
Case one_head() {
  Case c = documented_case();
  c.problem.num_kv_heads = 1;
  c.problem.head_dim = c.problem.head_dim_v = 8;
  c.problem.q_len = c.problem.kv_len = 5;
  c.problem.memory_kv = 3;
  return c;
}

TEST(XTransformersMemoryKv, CatFails) {
  const Outcome outcome = run("specimen:xtransformers-memory-kv-one-head", one_head());
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text,
            "Sizes of tensors must match except in dimension 2. Expected size 4 but got size 1 for "
            "tensor number 1 in the list.");
  EXPECT_EQ(what_is_wrong(one_head(), run("fixed:xtransformers-memory-kv-one-head", one_head())),
            "");
}

TEST(XTransformersMemoryKv, RightWithoutMemoryAndWithAllHeads) {
  Case no_memory = one_head(), all_heads = one_head();
  no_memory.problem.memory_kv = 0;
  all_heads.problem.num_kv_heads = 4;
  for (const Case& c : {no_memory, all_heads})
    EXPECT_EQ(what_is_wrong(c, run("specimen:xtransformers-memory-kv-one-head", c)), "");
}

TEST(XTransformersMemoryKvFlash, ExpandFails) {
  const Outcome outcome = run("specimen:xtransformers-memory-kv-one-head-flash", one_head());
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text,
            "The expanded size of the tensor (5) must match the existing size (8) at non-singleton "
            "dimension 2.  Target sizes: [2, 4, 5, 8].  Tensor sizes: [2, 1, 8, 8]");
  EXPECT_EQ(
      what_is_wrong(one_head(), run("fixed:xtransformers-memory-kv-one-head-flash", one_head())),
      "");
}

TEST(XTransformersMemoryKvFlash, RightWhereKeysAreAsManyAsQueries) {
  Case c = one_head();
  c.problem.memory_kv = 0;
  EXPECT_EQ(what_is_wrong(c, run("specimen:xtransformers-memory-kv-one-head-flash", c)), "");
}

}  // namespace
}  // namespace attnfuzz
