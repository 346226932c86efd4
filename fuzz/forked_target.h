#pragma once
#include <memory>

#include "targets/target.h"

namespace attnfuzz {

/// A target that runs each case in a fork of this process: what kills or hangs it becomes
/// an Outcome. Slow; for what has crashed before. The process must have no threads, and the target
/// none of its own: a worker would go on with a request whose fork was killed.
class ForkedTarget final : public Target {
 public:
  ForkedTarget(std::unique_ptr<Target> target, double case_seconds)
      : target_(std::move(target)), case_seconds_(case_seconds) {}
  const TargetInfo& info() const override { return target_->info(); }
  Outcome run(const Case& c, const Inputs& inputs) override;
  void use_threads(int count) override { target_->use_threads(count); }

 private:
  std::unique_ptr<Target> target_;
  double case_seconds_;
};

}  // namespace attnfuzz
