#include <gtest/gtest.h>

#include "reports/diagnose.h"
#include "reports/sample_findings.h"
#include "targets/zoo/zoo.h"

namespace attnfuzz {
namespace {

/// More keys than two tiles of 16.
Case long_case() {
  Case c = samples::small_case();
  c.problem.kv_len = 40;
  c.problem.fully_masked = FullyMasked::any;
  return c;
}

/// The first cause named where a mutant meets a case.
std::string first_cause(std::string_view mutant, const Case& c) {
  const std::unique_ptr<Target> target = zoo::open_mutant("mutant:" + std::string(mutant));
  const std::vector<Cause> causes = diagnose(samples::finding(c, target->run(c, make_inputs(c))));
  return causes.empty() ? "none" : causes.front().name;
}

TEST(SoftmaxCauses, NameTheStepThatIsWrong) {
  for (const std::string_view name :
       {"online-out-not-rescaled", "online-sum-not-rescaled", "online-nothing-rescaled",
        "online-rescale-inverted", "online-sum-of-last-tile", "online-out-of-last-tile",
        "split-averaged", "split-max-ignored", "split-sum-ignored"})
    EXPECT_EQ(first_cause(name, long_case()), name);
  Case c = long_case();
  EXPECT_EQ(first_cause("not-divided", c), "softmax-not-divided");
  EXPECT_EQ(first_cause("divided-twice", c), "softmax-divided-twice");
  c.problem.sinks = true;
  EXPECT_EQ(first_cause("sink-in-each-tile", c), "sinks-in-each-tile");
  EXPECT_TRUE(
      first_cause("sink-in-each-part", c).starts_with("sinks-in-each-"));  // parts of whole tiles
  EXPECT_EQ(first_cause("sink-without-max", c), "sinks-without-max");
  c.problem.softcap = 0.5;
  EXPECT_EQ(first_cause("softcap-clamped", c), "softcap-clamped");
}

TEST(NonFiniteCauses, TellTheClass) {
  Case c = long_case();
  c.data.dist = Distribution::large;
  EXPECT_EQ(first_cause("max-not-subtracted", c), "softmax-range");
  c = long_case();
  c.problem.mask.rules = {{find_rule("padding"), {int64_t{1}, std::vector<int64_t>{30, 20}}}};
  c.data.nonfinite = NonFinite::nan_padding;
  EXPECT_EQ(first_cause("hidden-keys-weighed", c), "nan-leak");
}

TEST(PrecisionCauses, TruncationIsToldFromLowerPrecision) {
  Case c = long_case();
  c.problem.q_len = 12;
  c.problem.dtype = DType::bf16;
  EXPECT_EQ(first_cause("out-truncated", c), "output-truncated");
  EXPECT_EQ(first_cause("p-in-bf16", c), "lower-precision");
}

}  // namespace
}  // namespace attnfuzz
