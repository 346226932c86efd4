#pragma once
#include <memory>
#include <utility>

#include "targets/target.h"

namespace attnfuzz {

/// A target around another one, that passes all on. What wraps targets overrides what it changes,
/// so that nothing else gets lost.
class WrappedTarget : public Target {
 public:
  explicit WrappedTarget(std::unique_ptr<Target> target) : target_(std::move(target)) {}
  const TargetInfo& info() const override { return target_->info(); }
  Outcome run(const Case& c, const Inputs& inputs) override { return target_->run(c, inputs); }
  const Target& inside() const { return *target_; }
  bool restart() override { return target_->restart(); }
  void use_threads(int count) override { target_->use_threads(count); }

 private:
  std::unique_ptr<Target> target_;
};

}  // namespace attnfuzz
