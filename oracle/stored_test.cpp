#include "oracle/stored.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <numeric>

#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

using Vector = std::vector<double>;

Problem with_rope(Rope rope, int64_t head_dim, double base = 100) {
  Problem p;
  p.rope = rope;
  p.head_dim = head_dim;
  p.rope_base = base;
  return p;
}

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

Vector arbitrary_vector(int64_t size) {
  Vector x(static_cast<size_t>(size));
  for (double& e : x) e = static_cast<double>(testing::between(-400, 400)) / 100;
  return x;
}

TEST(Turn, PairsAsTheConventionsSay) {
  const double c = std::cos(3.0), s = std::sin(3.0);
  const double c2 = std::cos(0.3), s2 = std::sin(0.3);  // 3 · 100^(−2/4)
  Vector half{1, 1, 0, 0}, interleaved{1, 0, 1, 0};
  turn(with_rope(Rope::half, 4), 3, half);
  turn(with_rope(Rope::interleaved, 4), 3, interleaved);
  const Vector want_half{c, c2, s, s2}, want_interleaved{c, s, c2, s2};
  for (size_t d = 0; d < 4; ++d) {
    EXPECT_NEAR(half[d], want_half[d], 1e-15);
    EXPECT_NEAR(interleaved[d], want_interleaved[d], 1e-15);
  }
}

TEST(Turn, ScoresDependOnDistanceAlone) {
  EXPECT_TRUE(rc::check([] {
    const Rope rope = testing::between(0, 1) == 0 ? Rope::half : Rope::interleaved;
    const Problem p = with_rope(rope, 2 * testing::between(1, 5));
    const int64_t at = testing::between(0, 50), by = testing::between(0, 50);
    const Vector q = arbitrary_vector(p.head_dim), k = arbitrary_vector(p.head_dim);
    const auto score = [&](int64_t q_pos, int64_t key_pos) {
      Vector a = q, b = k;
      turn(p, q_pos, a);
      turn(p, key_pos, b);
      return dot(a, b);
    };
    RC_ASSERT(std::abs(score(at + by, at) - score(by, 0)) < 1e-10);
  }));
}

TEST(Turn, JoinedSizesBoundTurnedProducts) {
  EXPECT_TRUE(rc::check([] {
    const Problem p = with_rope(Rope::half, 2 * testing::between(1, 5));
    Vector q = arbitrary_vector(p.head_dim), k = arbitrary_vector(p.head_dim);
    turn(p, testing::between(0, 50), q);
    turn(p, testing::between(0, 50), k);
    Vector a = q, b = k;
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d) {
      a[d] = std::abs(q[d]);
      b[d] = std::abs(k[d]);
      sum += a[d] * b[d];
    }
    join_pairs(p, a);
    join_pairs(p, b);
    RC_ASSERT(dot(a, b) >= sum * (1 - 1e-12));
  }));
}

Cache quantised(Quant quant, Scales scales) {
  Cache cache;
  cache.quant = quant;
  cache.scales = scales;
  return cache;
}

struct Stored {
  Vector x, error;
};
Stored stored(const Cache& cache, Vector x, double scale = 0, double off = 0) {
  Stored result{std::move(x), {}};
  result.error.resize(result.x.size());
  store(cache, DType::f32, scale, Vector(result.x.size(), off), result.x, result.error);
  return result;
}

TEST(Store, RoundsToTheTypesNumbers) {
  const Stored by_token = stored(quantised(Quant::int8, Scales::token), {-12.7, 0.26, 6.24});
  EXPECT_NEAR(by_token.x[0], -12.7, 1e-5);
  EXPECT_NEAR(by_token.x[1], 0.3, 1e-6);
  EXPECT_NEAR(by_token.x[2], 6.2, 1e-6);
  for (const double error : by_token.error) EXPECT_LT(error, 1e-5);
  const Stored by_head = stored(quantised(Quant::int8, Scales::head), {100, -100, 0.24}, 0.5);
  EXPECT_EQ(by_head.x, (Vector{63.5, -63.5, 0}));  // at most 127 · 0.5
  const Stored eighth = stored(quantised(Quant::e4m3, Scales::head), {1.06, 500, 0}, 1);
  EXPECT_EQ(eighth.x, (Vector{1, 448, 0}));
}

TEST(Store, ATieMayTipEitherWay) {
  const Stored tie = stored(quantised(Quant::int8, Scales::head), {2.5, 2.4}, 1);
  EXPECT_GT(tie.error[0], 0.99);
  EXPECT_LT(tie.error[1], 1e-5);
  EXPECT_GT(stored(quantised(Quant::int8, Scales::head), {2.4}, 1, 0.2).error[0], 0.99);
}

TEST(Store, WithinHalfAStepOrTheEnd) {
  EXPECT_TRUE(rc::check([] {
    const auto quant = static_cast<Quant>(testing::between(1, 3));
    const Vector x = arbitrary_vector(testing::between(1, 9));
    const Stored kept = stored(quantised(quant, Scales::token), x);
    double most = 0;
    for (const double e : x) most = std::max(most, std::abs(e));
    const double relative = quant == Quant::e4m3 ? 0x1p-4 : quant == Quant::e5m2 ? 0x1p-3 : 0;
    for (size_t d = 0; d < x.size(); ++d) {
      const double least_step = most / largest(quant) * (quant == Quant::int8 ? 0.5 : 0x1p-9);
      RC_ASSERT(std::abs(kept.x[d] - x[d]) <=
                relative * std::abs(x[d]) + least_step + 1e-6 * std::abs(x[d]) + 1e-30);
    }
  }));
}

TEST(Store, AllZerosStayZero) {
  const Stored zeros = stored(quantised(Quant::e5m2, Scales::token), {0, 0});
  EXPECT_EQ(zeros.x, (Vector{0, 0}));
  EXPECT_LT(zeros.error[0], 1e-29);
}

}  // namespace
}  // namespace attnfuzz
