#pragma once
#include "targets/guarded_memory.h"

namespace attnfuzz {

/// Says of which tensor it was, when a bad access ends the process: "k was read past its end
/// (offset 4 bytes)", a line on stderr, where the address is near memory that is watched. What
/// happens to the process stays as it was.
void report_faults();

/// Has the memory of a tensor told by its name while this lives; both must outlive it.
class FaultWatch {
 public:
  FaultWatch(const char* name, const GuardedMemory& memory);
  ~FaultWatch();
  FaultWatch(const FaultWatch&) = delete;
  FaultWatch& operator=(const FaultWatch&) = delete;

 private:
  size_t place_;
};

}  // namespace attnfuzz
