#include "oracle/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "oracle/answer.h"
#include "oracle/case_io.h"
#include "oracle/rows.h"

namespace attnfuzz {
namespace {

Case plain(int64_t heads, int64_t q_len, int64_t kv_len, int64_t dim) {
  Case c;
  c.problem.num_heads = heads;
  c.problem.num_kv_heads = std::max<int64_t>(1, heads / 4);
  c.problem.q_len = q_len;
  c.problem.kv_len = kv_len;
  c.problem.head_dim = c.problem.head_dim_v = dim;
  c.data.seed = 7;
  return c;
}

Case with_causal(Case c) {
  c.problem.mask.rules.push_back({find_rule("causal"), {}});
  return c;
}

TEST(SampleTest, ShortCasesAreJudgedWhole) {
  EXPECT_TRUE(sample_of(plain(1, 512, 512, 128)).empty());
  EXPECT_TRUE(sample_of(plain(4, 64, 64, 64)).empty());
  EXPECT_TRUE(sample_of(plain(1, 0, 4096, 64)).empty());
  EXPECT_FALSE(sample_of(plain(1, 513, 513, 128)).empty());
}

TEST(SampleTest, EdgesOfTilesComeFirst) {
  const Sample sample = sample_of(plain(1, 4096, 4096, 128));
  ASSERT_EQ(sample.size(), 1U);
  const RowSample& rows = *sample[0];
  EXPECT_EQ(rows.rows.size(), 64U);
  for (const int64_t row : {0, 15, 16, 63, 64, 127, 128, 255, 256, 4031, 4032, 4095})
    EXPECT_GE(rows.find(0, 0, row), 0) << row;
  EXPECT_EQ(rows.of_rows, 4096);
  EXPECT_TRUE(words_of(rows).starts_with("64 of 4096 query rows: 0, ")) << words_of(rows);
  Case chunked = plain(1, 4096, 4096, 128);
  chunked.problem.mask.rules.push_back({find_rule("window"), {int64_t{1000}, int64_t{0}}});
  const Sample by_window = sample_of(chunked);
  EXPECT_GE(by_window[0]->find(0, 0, 999), 0);
  EXPECT_GE(by_window[0]->find(0, 0, 1000), 0);
}

TEST(SampleTest, IsAFunctionOfTheCase) {
  const Case c = plain(32, 4096, 4096, 128);
  EXPECT_EQ(sample_of(c), sample_of(c));
  Case other = c;
  other.data.seed = 8;
  EXPECT_NE(sample_of(c), sample_of(other));
}

TEST(SampleTest, CostsABoundedNumberOfMultiplications) {
  for (const int64_t batch : {1, 64})
    for (const int64_t heads : {1, 32, 128})
      for (const int64_t kv_len : {4096, 131072}) {
        Case c = plain(heads, 4096, kv_len, 128);
        c.problem.batch = batch;
        const RowSample rows = *sample_of(c).at(0);
        EXPECT_GE(rows.rows.size(), 16U);
        const double cost = static_cast<double>(rows.count() * kv_len * 256);
        EXPECT_LE(cost, std::max(0x1p28, 64.0 * static_cast<double>(kv_len) * 256));
        EXPECT_TRUE(std::is_sorted(rows.rows.begin(), rows.rows.end()));
        EXPECT_TRUE(std::is_sorted(rows.heads.begin(), rows.heads.end()));
      }
}

/// The judged rows are what the answer for all rows has there, whatever the layout and the number
/// of threads.
TEST(SampleTest, JudgedRowsAreThoseOfTheWholeAnswer) {
  for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
    Case c = with_causal(plain(4, 300, 310, 16));
    c.problem.batch = 2;
    c.problem.layout = layout;
    c.problem.outputs = {Output::out, Output::lse};
    const Inputs inputs = make_inputs(c);
    const Sample sample{RowSample{{{0, 0}, {1, 3}}, {0, 1, 63, 64, 299}, 8, 300}};
    const Answer whole = answer(c, inputs, Precision{}, Sample{});
    for (const int threads : {1, 2}) {
      const StepAnswer some = answer(c, inputs, Precision{}, sample, threads).steps[0];
      ASSERT_EQ(some.out.size(), 2U * 5 * 16);
      EXPECT_EQ(some.shape, whole.steps[0].shape);
      size_t n = 0;
      for (const auto& [b, h] : sample[0]->heads)
        for (const int64_t row : sample[0]->rows) {
          const auto at = static_cast<size_t>(Rows(layout, some.shape).index(b, h, row));
          for (size_t d = 0; d < 16; ++d) {
            EXPECT_NEAR(some.out[n * 16 + d], whole.steps[0].out[at + d], 1e-14);
            EXPECT_NEAR(some.bound[n * 16 + d] / whole.steps[0].bound[at + d], 1, 1e-3);
          }
          const auto lse = static_cast<size_t>((b * 4 + h) * 300 + row);
          EXPECT_NEAR(some.more[0].values[n], whole.steps[0].more[0].values[lse], 1e-14);
          ++n;
        }
    }
  }
}

/// One output of a step in which some rows are judged is what the whole answer has there.
void expect_part(const MoreAnswer& some, const MoreAnswer& whole, Layout layout) {
  ASSERT_TRUE(some.judged) << name(some.output);
  const auto dim = static_cast<size_t>(whole.shape.back());
  ASSERT_EQ(some.values.size(), static_cast<size_t>(some.judged->count()) * dim);
  size_t n = 0;
  for (const auto& [b, h] : some.judged->heads)
    for (const int64_t row : some.judged->rows) {
      const auto at = static_cast<size_t>(Rows(layout, whole.shape).index(b, h, row));
      for (size_t d = 0; d < dim; ++d, ++n) {
        EXPECT_NEAR(some.values[n], whole.values[at + d], 1e-12) << name(some.output);
        EXPECT_NEAR(some.bound[n] / whole.bound[at + d], 1, 1e-3) << name(some.output);
      }
    }
}

TEST(SampleTest, GradientsOfJudgedRowsAndKeysAreThoseOfTheWholeAnswer) {
  for (const Layout layout : {Layout::bhsd, Layout::bshd}) {
    Case c = with_causal(plain(4, 70, 75, 8));
    c.problem.batch = 2;
    c.problem.num_kv_heads = 2;
    c.problem.layout = layout;
    c.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv, Output::dsinks};
    c.problem.sinks = true;
    const Inputs inputs = make_inputs(c);
    const Sample sample{RowSample{{{0, 0}, {1, 3}}, {0, 1, 63, 64, 69}, 8, 70}};
    const StepAnswer whole = answer(c, inputs, Precision{}, Sample{}).steps[0];
    const StepAnswer some = answer(c, inputs, Precision{}, sample).steps[0];
    for (size_t k = 0; k < 3; ++k) expect_part(some.more[k], whole.more[k], layout);
    EXPECT_EQ(some.more[1].judged->rows.size(), 32U);
    for (const double bound : some.more[3].bound) EXPECT_TRUE(std::isinf(bound));
  }
}

TEST(SampleTest, OfAnAppendedHistoryTheLongStepsAreSampled) {
  Case c = plain(8, 0, 0, 64);
  c.cache.emplace();
  c.cache->kind = CacheKind::paged;
  c.cache->capacity = 4096;
  c.cache->page_size = 16;
  c.steps.resize(3);
  c.steps[0].op = StepOp::prefill;
  c.steps[0].q_len = 3000;
  c.steps[1].q_len = 5;
  c.steps[2].op = StepOp::decode;
  c.steps[2].q_len = 1;
  c.problem.batch = 1;
  const Sample sample = sample_of(c);
  ASSERT_EQ(sample.size(), 3U);
  ASSERT_TRUE(sample[0]);
  EXPECT_FALSE(sample[2]);
  EXPECT_GE(sample[0]->find(0, 0, 15), 0);
  EXPECT_GE(sample[0]->find(0, 0, 16), 0);
  const Answer right = answer(c, make_inputs(c), Precision{});
  EXPECT_EQ(right.steps[0].out.size(), static_cast<size_t>(sample[0]->count() * 64));
  EXPECT_EQ(right.steps[2].out.size(), 8U * 64);
  EXPECT_EQ(right.steps[2].lengths, std::vector<int64_t>{3006});
}

TEST(SampleTest, SizesInFloatAreNeverTooSmallAndHardlyTooLarge) {
  Case c = with_causal(plain(2, 90, 90, 32));
  c.problem.num_kv_heads = 1;
  for (const Distribution dist : {Distribution::normal, Distribution::large, Distribution::one_hot})
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      c.data.dist = dist;
      c.problem.dtype = dtype;
      Inputs inputs = make_inputs(c);
      Precision precision;
      precision.accumulate = precision.p = dtype == DType::f64 ? DType::f64 : DType::f32;
      const StepAnswer narrow = answer(c, inputs, precision).steps[0];
      // A number that floats can't be trusted with, in a tensor that nobody reads.
      inputs.add("far", Tensor::from_doubles(DType::f64, {1}, {1e-30}));
      const StepAnswer wide = answer(c, inputs, precision).steps[0];
      EXPECT_EQ(narrow.out, wide.out);
      for (size_t n = 0; n < wide.bound.size(); ++n) {
        EXPECT_GE(narrow.bound[n], wide.bound[n]);
        EXPECT_LE(narrow.bound[n], wide.bound[n] * (1 + 1e-4));
      }
    }
}

}  // namespace
}  // namespace attnfuzz
