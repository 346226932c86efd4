#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/inputs.h"
#include "targets/outcome.h"
#include "targets/shared_memory.h"
#include "targets/target.h"

namespace attnfuzz {

/// Messages between attnfuzz and a worker: one line of JSON each, over a socket (the worker's fd
/// 3). Tensors lie in shared memory (fd 4), inputs first, outputs behind them.
///   worker:   {"attnfuzz_worker": 1, "target": {"name", "version", "about", "capabilities"}}
///             and perhaps "environment" among these
///          or {"attnfuzz_worker": 1, "missing": "not installed: onnxruntime"}
///          or {"attnfuzz_worker": 1, "targets": […each with "missing"…]}      (worker.py --list)
///   attnfuzz: {"id": 7, "case": {…}, "tensors": [["q", "f32", [2, 4, 8, 16], OFFSET], …],
///              "free": OFFSET, "threads": 3}      "threads" only where they are not as at the
///              start
///   worker:   {"id": 7, "status": "ok", "text": "", "steps": [{"out": ["f32", [2, 4, 8, 16],
///   OFFSET]
///              or null, "more": {"lse": ["f32", [2, 4, 8], OFFSET], "dq": …}, "lengths": [5, 3],
///              "positions": [5, 3], "capacity": 64}, …]}
///              "more", "positions" and "capacity" only where the target gives them
///              "final": true beside "status" if the worker ends now: it can do no more
///              "seconds": 0.25 beside it, what the target itself took, where the worker tells
/// Status words are those of Status. The worker ends when the socket is closed.
inline constexpr int protocol_version = 1;
inline constexpr size_t tensor_alignment = 64;
inline constexpr int worker_channel = 3, worker_memory = 4;

/// A message that does not follow the above.
class ProtocolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a worker says of a target; `missing`: why it can't be had here, empty if it can.
struct Description {
  TargetInfo info;
  std::string missing;
  std::string environment = {};  ///< versions beside the target's: "Python 3.11.7, NumPy 2.4.6"
};

std::string write_hello(const TargetInfo& info);
std::string write_missing(const std::string& why);
/// Throws InputError (naming `where`) for bad capabilities.
Description parse_hello(std::string_view line, const std::string& where);
std::vector<Description> parse_survey(std::string_view line, const std::string& where);

/// Copies the inputs into the memory and writes the request, ready to send. threads: 0 to say
/// nothing of them.
std::string write_request(uint64_t id, const Case& c, const Inputs& inputs, SharedMemory& memory,
                          int threads = 0);
/// Reads the outputs from the memory; at most `limit` bytes of them in all.
Outcome parse_reply(std::string_view line, uint64_t id, size_t limit, SharedMemory& memory);

struct Request {
  uint64_t id = 0;
  Case c;
  Inputs inputs;
  size_t free = 0;  ///< where outputs may begin
  int threads = 0;  ///< 0: as they are
};
Request parse_request(std::string_view line, SharedMemory& memory);
std::string write_reply(const Request& request, const Outcome& outcome, SharedMemory& memory);

}  // namespace attnfuzz
