#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "fuzz/candidates.h"
#include "fuzz/given_parts.h"
#include "oracle/case_io.h"
#include "oracle/given.h"
#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

/// With the tensors that it has anyway, given.
Case given_its_own(Case c) {
  c.data.nonfinite = NonFinite::none;
  c.data = given_data(c, given_tensors(c), "x", "");
  return c;
}

/// Each element that is given has some ten reductions of its own.
constexpr int64_t most_elements = 96;

int64_t elements_of(const Case& c) {
  int64_t total = 0;
  for (const GivenSpec& spec : given_specs(c)) total += element_count(spec.shape);
  return total;
}

Case of_sizes(int64_t heads, int64_t len, int64_t dim) {
  Case c;
  Problem& p = c.problem;
  p.num_heads = p.num_kv_heads = heads;
  p.q_len = p.kv_len = len;
  p.head_dim = p.head_dim_v = dim;
  return given_its_own(c);
}

std::vector<double> values(const Case& c, const char* name) {
  return make_inputs(c).at(name).to_doubles();
}

/// The same case with one number changed.
Case with_number(const Case& c, size_t tensor, size_t at, double value) {
  std::vector<Tensor> tensors = given_tensors(c);
  std::vector<double> numbers = tensors[tensor].to_doubles();
  numbers[at] = value;
  tensors[tensor] = Tensor::from_doubles(tensors[tensor].dtype, tensors[tensor].shape, numbers);
  Case changed = c;
  changed.data = given_data(c, tensors, "x", "");
  return changed;
}

bool has_large_value(const Case& c) {
  const std::vector<double> v = values(c, "v");
  return std::any_of(v.begin(), v.end(), [](double x) { return x > 100; });
}

TEST(ReduceGiven, ReductionsAreValidAndLighter) {
  EXPECT_TRUE(rc::check([] {
    Case made = testing::random_case();
    made.data.nonfinite = NonFinite::none;
    RC_PRE(is_valid(made) && elements_of(made) <= most_elements);
    const Case c = given_its_own(made);
    const uint64_t whole = weight(c);
    RC_LOG() << one_line(c) << "\n";
    for (const Reduction& reduction : reductions(c)) {
      RC_LOG() << reduction.words << "\n";
      check(reduction.c);
      RC_ASSERT(weight(reduction.c) < whole);
    }
  }));
}

TEST(ReduceGiven, GeneratedDataComeFirst) {
  const Case c = of_sizes(2, 5, 4);
  ASSERT_FALSE(reductions(c).empty());
  EXPECT_EQ(reductions(c)[0].c.data, Data{});
  const Shrunk shrunk = shrink(c, [](const Case& smaller) { return smaller.problem.kv_len > 1; });
  EXPECT_EQ(shrunk.c.data, Data{});
}

TEST(ReduceGiven, LeavesTheOneNumberThatMatters) {
  // Of KV head 1, key 3, element 2: none of them the first.
  const Case c =
      with_number(of_sizes(3, 5, 4), 2, static_cast<size_t>((1 * 5 + 3) * 4 + 2), 137.625);
  ASSERT_TRUE(has_large_value(c));
  const Shrunk shrunk = shrink(c, has_large_value);
  EXPECT_TRUE(shrunk.minimal);
  EXPECT_EQ(shrunk.c.problem.num_heads, 1);
  EXPECT_EQ(shrunk.c.problem.kv_len, 1);
  EXPECT_EQ(shrunk.c.problem.head_dim_v, 1);
  EXPECT_EQ(values(shrunk.c, "v"), std::vector<double>{128});
  EXPECT_EQ(values(shrunk.c, "q"), std::vector<double>{0});
  EXPECT_NE(write_case(shrunk.c).find(R"({"given": {"q": [0], "k": [0], "v": [128]}})"),
            std::string::npos)
      << write_case(shrunk.c);
}

TEST(ReduceGiven, BatchRowsTakeTheirTensorsAlong) {
  Case c;
  c.problem.batch = 3;
  c.problem.kv_len = 2;
  c = given_its_own(c);
  const std::vector<double> v = values(c, "v");
  EXPECT_EQ(values(with_rows(c, {2, 1}), "v"), (std::vector<double>{v[4], v[5], v[2], v[3]}));
}

TEST(ReduceGiven, PlacesOfEachAxis) {
  Case c;
  Problem& p = c.problem;
  p.num_heads = 4;
  p.num_kv_heads = 2;
  p.q_len = 2;
  p.kv_len = 3;
  p.memory_kv = 1;
  p.dropout_keep = 50;
  p.mask.rules = {{find_rule("boolean"), {int64_t{2}, int64_t{50}}}};
  c = given_its_own(c);
  const auto sizes = [&](CaseAxis axis, std::vector<int64_t> kept, Role role) {
    return with_places(p, c.data, axis, kept).given->tensors.at(tensor_number(role, 0)).shape;
  };
  EXPECT_EQ(sizes(CaseAxis::keys, {0, 2}, Role::k), (Shape{1, 2, 2, 1}));
  EXPECT_EQ(sizes(CaseAxis::keys, {0, 2}, Role::mask), (Shape{1, 4, 2, 2}));
  EXPECT_EQ(sizes(CaseAxis::keys, {0, 2}, Role::dropout), (Shape{1, 4, 2, 3}));  // and memory
  EXPECT_EQ(sizes(CaseAxis::keys, {0, 2}, Role::mem_k), (Shape{1, 2, 1, 1}));
  EXPECT_EQ(sizes(CaseAxis::heads, {3}, Role::mask), (Shape{1, 1, 2, 3}));
  EXPECT_EQ(sizes(CaseAxis::heads, {3}, Role::k), (Shape{1, 2, 3, 1}));
  EXPECT_EQ(sizes(CaseAxis::batch, {0}, Role::mask), (Shape{1, 4, 2, 3}));
}

TEST(ReduceGiven, PlainNumbersCostLess) {
  const double by_cost[] = {0, 1, 2, 3, 0.1, -0.1, NAN};
  for (size_t k = 0; k + 1 < std::size(by_cost); ++k)
    EXPECT_LT(given_cost(by_cost[k]), given_cost(by_cost[k + 1])) << by_cost[k];
}

}  // namespace
}  // namespace attnfuzz
