#include "fuzz/measure/scale_law.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace attnfuzz::measure {
namespace {

std::string law_of(const std::function<double(const Problem&)>& scale) {
  std::vector<Problem> problems(5);
  const int64_t sizes[][3] = {{8, 2, 16}, {6, 3, 10}, {4, 4, 24}, {7, 1, 12}, {2, 1, 40}};
  for (size_t n = 0; n < problems.size(); ++n) {
    problems[n].num_heads = sizes[n][0];
    problems[n].num_kv_heads = sizes[n][1];
    problems[n].head_dim = problems[n].head_dim_v = sizes[n][2];
    problems[n].q_len = problems[n].kv_len = 9;
  }
  std::vector<SeenScale> seen;
  for (const Problem& p : problems) seen.push_back({&p, scale(p)});
  return scale_law(seen);
}

TEST(ScaleLaw, TellsTheWidthOfPackedHeads) {
  EXPECT_EQ(law_of([](const Problem& p) {
              const int64_t packed = (p.num_heads + 2 * p.num_kv_heads) * p.head_dim;
              return 1 / std::sqrt(static_cast<double>(packed / p.num_heads));
            }),
            "1/sqrt(head_dim·(num_heads + 2·num_kv_heads) / num_heads)");
}

TEST(ScaleLaw, TellsPaddedHeads) {
  EXPECT_EQ(law_of([](const Problem& p) {
              return 1 / std::sqrt(static_cast<double>((p.head_dim + 15) / 16 * 16));
            }),
            "1/sqrt(head_dim rounded up to a multiple of 16)");
}

TEST(ScaleLaw, TellsTheModelsWidth) {
  EXPECT_EQ(law_of([](const Problem& p) {
              return 1 / std::sqrt(static_cast<double>(p.head_dim * p.num_heads));
            }),
            "1/sqrt(head_dim·num_heads)");
}

TEST(ScaleLaw, TellsNoneOfWhatIsOfNoSize) {
  EXPECT_EQ(law_of([](const Problem& p) { return 0.1234 * static_cast<double>(p.head_dim); }), "");
  EXPECT_EQ(law_of([](const Problem&) { return 0.25; }), "");
}

}  // namespace
}  // namespace attnfuzz::measure
