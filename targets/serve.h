#pragma once
#include "targets/protocol.h"

namespace attnfuzz {

/// The worker's side of the protocol, for `attnfuzz worker TARGET`: greets, then answers requests
/// until the channel is closed. Returns the process's exit code (0, or 3 after a message that does
/// not follow the protocol). The descriptors default to those that a worker is started with.
int serve_worker(Target& target, int channel = worker_channel, int memory = worker_memory);

/// The greeting of a worker whose target can't be opened.
void serve_missing(const std::string& why, int channel = worker_channel);

}  // namespace attnfuzz
