// Seconds that a built-in target itself takes for the first cases of a campaign, as JSON: what is
// left of the campaign's time is attnfuzz's overhead. Its peer for Python targets: own_time.py.
// Usage: own_time TARGET CASES [AXIS=MAX…]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>

#include "fuzz/campaign.h"
#include "targets/wrapped_target.h"

namespace {

using namespace attnfuzz;
using Clock = std::chrono::steady_clock;

/// Keeps the sizes under limits, and adds up the time that runs take.
class Timed final : public WrappedTarget {
 public:
  Timed(std::unique_ptr<Target> target, int limits, char** limit)
      : WrappedTarget(std::move(target)) {
    info_ = WrappedTarget::info();
    for (int n = 0; n < limits; ++n) {
      const std::string text = limit[n];
      const size_t equals = text.find('=');
      const auto size = info_.capabilities.sizes.find(text.substr(0, equals));
      if (size == info_.capabilities.sizes.end()) continue;
      size->second.max = std::min<int64_t>(size->second.max, std::atoll(text.c_str() + equals + 1));
    }
  }
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override {
    const Clock::time_point start = Clock::now();
    Outcome outcome = WrappedTarget::run(c, inputs);
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    return outcome;
  }
  double seconds() const { return seconds_; }

 private:
  TargetInfo info_;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    fmt::print(stderr, "usage: own_time TARGET CASES [AXIS=MAX…]\n");
    return 2;
  }
  Timed target(open_target(argv[1]), argc - 3, argv + 3);
  CampaignOptions options;
  options.seed = 1;
  options.cases = static_cast<uint64_t>(std::atoll(argv[2]));
  options.max_shrink_tries = 0;
  const CampaignStats stats = run_campaign(target, options, {});
  fmt::print("{{\"cases\": {}, \"seconds\": {:.6f}, \"own_seconds\": {:.6f}}}\n", stats.cases,
             stats.seconds, target.seconds());
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 3;
}
