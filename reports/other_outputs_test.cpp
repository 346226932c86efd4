#include <gtest/gtest.h>

#include <limits>

#include "reports/issue.h"
#include "reports/sample_findings.h"
#include "reports/writers/writers.h"

/// Findings in outputs whose axes are not those of `out`: a gradient of the keys has none of the
/// queries' rows, a gradient of the sinks has no batch row either.
namespace attnfuzz {
namespace {

Case with_all_outputs(int64_t q_len, int64_t kv_len) {
  Case c = samples::small_case(R"({"align":"top_left","rules":[{"rule":"causal"}]})");
  Problem& p = c.problem;
  p.q_len = q_len;
  p.kv_len = kv_len;
  p.sinks = true;
  p.memory_kv = 3;
  p.outputs = {Output::out, Output::lse,    Output::dq,     Output::dk,
               Output::dv,  Output::dsinks, Output::dmem_k, Output::dmem_v};
  check(c);
  return c;
}

Finding with_one_wrong(const Case& c, Output output, double value) {
  Outcome outcome = samples::right_outcome(c);
  Tensor& tensor = outcome.steps[0].more.at(output);
  std::vector<double> values = tensor.to_doubles();
  if (!values.empty()) values.back() = value;
  tensor = Tensor::from_doubles(tensor.dtype, tensor.shape, values);
  return samples::finding(c, std::move(outcome));
}

TEST(OtherOutputs, AWrongOneIsToldWhateverTheSizes) {
  constexpr std::pair<int64_t, int64_t> sizes[] = {{0, 6}, {2, 40}, {6, 0}, {9, 3}};
  for (const auto& [q_len, kv_len] : sizes) {
    const Case c = with_all_outputs(q_len, kv_len);
    for (const Output output : c.problem.outputs) {
      if (output == Output::out) continue;
      for (const double wrong : {1e4, std::numeric_limits<double>::quiet_NaN()}) {
        const Finding f = with_one_wrong(c, output, wrong);
        if (!f.last.verdict.failed()) continue;  // it has no elements, or none that is checked
        const Report::Item item = samples::item(f);
        for (const Cause& cause : item.causes)
          EXPECT_FALSE(cause.name.starts_with("softmax-")) << cause.words;
        for (const Writer& writer : writers())
          EXPECT_TRUE(writer.write == nullptr || !writer.write(samples::report({item})).empty());
        EXPECT_FALSE(finding_markdown(item).empty());
        EXPECT_FALSE(issue_markdown(item).empty());
      }
    }
  }
}

std::string location_of(Output output) {
  const Finding f = with_one_wrong(with_all_outputs(2, 40), output, 1e4);
  for (const Cause& cause : diagnose(f))
    if (cause.name == "location") return cause.words;
  return {};
}

TEST(OtherOutputs, PlacesAreNamedByTheirOwnAxes) {
  EXPECT_EQ(
      location_of(Output::dk),
      "1 of 2560 elements of dk are wrong: batch row 1 (0 to 1 were checked), KV head 1 (0 to "
      "1 were checked), key 39 (0 to 39 were checked) and element 15 (0 to 15 were checked).");
  EXPECT_EQ(location_of(Output::dsinks),
            "1 of 4 elements of dsinks are wrong: head 3 (0 to 3 were checked).");
  EXPECT_EQ(
      location_of(Output::dmem_v),
      "1 of 96 elements of dmem_v are wrong: KV head 1 (0 to 1 were checked), memory key 2 (0 "
      "to 2 were checked) and element 15 (0 to 15 were checked).");
}

}  // namespace
}  // namespace attnfuzz
