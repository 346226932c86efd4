#pragma once

namespace attnfuzz {

/// How many workers open_remote() has started in this process and those that it was forked from.
/// Where the number grows as a target is opened, the target's runs are in a worker, which has
/// limits of its own, whatever is wrapped around it.
int workers_started();

}  // namespace attnfuzz
