#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "oracle/case.h"
#include "oracle/tensor.h"

namespace attnfuzz {

enum class Status : uint8_t { ok, declined, error, crash, timeout, memory };
template <>
inline constexpr std::array<std::string_view, 6> names_of<Status>{"ok",    "declined", "error",
                                                                  "crash", "timeout",  "memory"};

/// What a target gave for one step: out in the case's layout and dtype, and, cached, what it says
/// of itself (empty: it does not say).
struct StepOutput {
  Tensor out;
  std::vector<int64_t> lengths = {};     ///< tokens that each row holds
  std::vector<int64_t> positions = {};   ///< where each row's next token will stand
  std::optional<int64_t> capacity = {};  ///< tokens that a row can hold; 0: no limit
  std::map<Output, Tensor> more = {};    ///< what the case asks for beside out
};

/// What a target did with a case. `steps` holds what was done before an error too.
struct Outcome {
  Status status = Status::ok;
  std::string text;  ///< the error's text, or why it declined; with ok, what a checker noticed
  std::vector<StepOutput> steps;
  bool final = false;  ///< the process that ran it can do no more
  double seconds = 0;  ///< that the target itself took, as its worker tells; 0: nobody told
};

}  // namespace attnfuzz
