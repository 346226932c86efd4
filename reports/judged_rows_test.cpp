// Reports say on which rows a long case was judged.
#include <gtest/gtest.h>

#include "reports/repro/repro.h"
#include "reports/show.h"
#include "targets/target.h"

namespace attnfuzz {
namespace {

Case long_case() {
  Case c;
  c.problem.q_len = c.problem.kv_len = 4096;
  c.problem.head_dim = c.problem.head_dim_v = 64;
  return c;
}

TEST(JudgedRows, AreNamedInWords) {
  const std::vector<std::string> words = judged_words(long_case());
  ASSERT_EQ(words.size(), 1U);
  EXPECT_TRUE(words[0].starts_with("judged: 64 of 4096 query rows: 0, ")) << words[0];
  EXPECT_NE(describe(long_case()).find(words[0]), std::string::npos);
  EXPECT_TRUE(judged_words(Case{}).empty());
}

TEST(JudgedRows, AreNamedInTheScriptThatReplaysTheCase) {
  const TargetInfo target{.name = "cpu:naive", .version = "1", .about = "", .capabilities = {}};
  const Repro repro = replay_repro(long_case(), target);
  EXPECT_NE(repro.text.find("# judged: 64 of 4096 query rows"), std::string::npos) << repro.text;
}

}  // namespace
}  // namespace attnfuzz
