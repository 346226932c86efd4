#include "fuzz/forked_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "fuzz/child.h"
#include "fuzz/wire.h"
#include "targets/spawn.h"

namespace attnfuzz {

Outcome ForkedTarget::run(const Case& c, const Inputs& inputs) {
  using Clock = std::chrono::steady_clock;
  Child child([&](const Child::Send& send) { send(wire::pack(target_->run(c, inputs))); });
  const auto deadline = Clock::now() + std::chrono::duration<double>(case_seconds_);
  Child* const waiting[] = {&child};
  while (!child.ended()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return {Status::timeout, fmt::format("no answer within {:g} s", case_seconds_), {}};
    Child::await(waiting, static_cast<int>(std::min<int64_t>(left, 1000)));
    child.receive();
    if (const auto message = child.next()) return wire::unpack<Outcome>(*message);
  }
  return {Status::crash, describe_end(child.wait()), {}};
}

}  // namespace attnfuzz
