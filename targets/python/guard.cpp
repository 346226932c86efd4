/// Guarded memory for Python workers: attnfuzz_guard.so, which attnfuzz_guard.py loads with ctypes.
#include <new>
#include <string>

#include "targets/fault_report.h"

namespace {

struct Guarded {
  std::string name;
  attnfuzz::GuardedMemory memory;
  attnfuzz::FaultWatch watch;

  Guarded(const char* tensor, size_t bytes, attnfuzz::GuardedMemory::Placement placement)
      : name(tensor), memory(bytes, placement), watch(name.c_str(), memory) {}
};

}  // namespace

extern "C" {

void attnfuzz_guard_report_faults() {
  attnfuzz::report_faults();
}

/// Memory of a tensor, or nullptr where there is none; `side` is a GuardedMemory::Placement.
void* attnfuzz_guard_make(const char* name, size_t bytes, int side) {
  try {
    return new Guarded(name, bytes, static_cast<attnfuzz::GuardedMemory::Placement>(side));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* attnfuzz_guard_data(void* guarded) {
  return static_cast<Guarded*>(guarded)->memory.data();
}

void attnfuzz_guard_free(void* guarded) {
  delete static_cast<Guarded*>(guarded);
}
}
