#pragma once
#include <memory>
#include <utility>

#include "targets/target.h"

namespace attnfuzz {

/// A target that passes all on to another one. What stands before a target overrides what it
/// changes, so that nothing else gets lost.
class PassingTarget : public Target {
 public:
  explicit PassingTarget(Target& to) : to_(to) {}
  const TargetInfo& info() const override { return to_.info(); }
  Outcome run(const Case& c, const Inputs& inputs) override { return to_.run(c, inputs); }
  const Target& inside() const { return to_; }
  bool restart() override { return to_.restart(); }
  void use_threads(int count) override { to_.use_threads(count); }

 private:
  Target& to_;
};

/// The same, around a target of its own.
class WrappedTarget : public PassingTarget {
 public:
  explicit WrappedTarget(std::unique_ptr<Target> target)
      : PassingTarget(*target), target_(std::move(target)) {}

 private:
  std::unique_ptr<Target> target_;
};

}  // namespace attnfuzz
