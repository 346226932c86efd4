#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "oracle/each_nth.h"
#include "oracle/error.h"
#include "targets/target.h"

namespace attnfuzz::testing {

/// A target made of a function, for tests.
class FunctionTarget final : public Target {
 public:
  using Run = std::function<Outcome(const Case&, const Inputs&)>;
  FunctionTarget(std::string_view capabilities, Run run) : run_(std::move(run)) {
    info_.name = "test:function";
    info_.version = "1";
    info_.capabilities = parse_capabilities(capabilities, info_.name);
    info_.trusted = true;
  }
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override { return run_(c, inputs); }

 private:
  TargetInfo info_;
  Run run_;
};

/// Runs cases right (cpu:naive), but fails with this text wherever `text` gives one.
inline std::unique_ptr<Target> failing(std::function<std::string(const Case&)> text) {
  constexpr std::string_view capabilities = R"({
    "sizes": {"batch": [1, 8], "num_heads": [1, 16], "num_kv_heads": [1, 16], "q_len": [1, 40],
              "kv_len": [1, 40], "head_dim": [1, 32], "head_dim_v": [1, 32]},
    "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "cross", "longer_q",
                 "head_dim_v", "scale", "softcap", "rule:causal", "rule:window", "align:top_left",
                 "align:bottom_right", "fully_masked:zero", "data:large"]
  })";
  std::shared_ptr<Target> naive = open_target("cpu:naive");
  return std::make_unique<FunctionTarget>(
      capabilities, [naive, text = std::move(text)](const Case& c, const Inputs& inputs) {
        const std::string error = text(c);
        return error.empty() ? naive->run(c, inputs) : Outcome{Status::error, error, {}};
      });
}

}  // namespace attnfuzz::testing
