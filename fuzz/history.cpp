#include "fuzz/history.h"

#include <utility>

namespace attnfuzz {
namespace {

/// Keeps what is run.
class Recording final : public Target {
 public:
  explicit Recording(Target& target) : target_(target) {}
  const TargetInfo& info() const override { return target_.info(); }
  Outcome run(const Case& c, const Inputs& inputs) override {
    runs_.push_back(c);
    return target_.run(c, inputs);
  }
  bool restart() override { return target_.restart(); }
  void use_threads(int count) override { target_.use_threads(count); }
  std::vector<Case> take() { return std::move(runs_); }

 private:
  Target& target_;
  std::vector<Case> runs_;
};

}  // namespace

History::History(Sequence& sequence, CampaignOptions options, uint64_t first, uint64_t index,
                 uint64_t stride)
    : sequence_(sequence), options_(std::move(options)), index_(index), stride_(stride) {
  options_.shard = first;
}

std::vector<Case> History::cases(uint64_t most) const {
  return earlier_cases(sequence_, options_, index_, most, stride_);
}

std::vector<Case> History::runs(Target& target, const Stop& stop) const {
  Recording recording(target);
  recording.restart();
  for (uint64_t k = options_.shard; k < index_ && !(stop && stop()); k += stride_)
    judge_case(recording, sequence_, options_, k);
  return recording.take();
}

}  // namespace attnfuzz
