/// libFuzzer harness of all that follows a target's answer: judging, signatures, shrinking,
/// diagnosis, the store, every writer and every repro. The input draws claims, a case of them and
/// what the target answers; no answer may hurt attnfuzz.
#include "fuzz/byte_draw.h"
#include "reports/whole_way.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& way = *new attnfuzz::testing::WholeWay;
  attnfuzz::ByteDraw draw({data, size});
  way.go(draw);  // what it throws ends the run
  return 0;
}
