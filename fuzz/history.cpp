#include "fuzz/history.h"

#include <utility>

#include "targets/wrapped_target.h"

namespace attnfuzz {
namespace {

/// Keeps what is run.
class Recording final : public PassingTarget {
 public:
  using PassingTarget::PassingTarget;
  Outcome run(const Case& c, const Inputs& inputs) override {
    runs_.push_back(c);
    return PassingTarget::run(c, inputs);
  }
  std::vector<Case> take() { return std::move(runs_); }

 private:
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
