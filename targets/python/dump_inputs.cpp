// Prints the tensors of case files as attnfuzz makes them, for attnfuzz_philox_test.py: for each a
// line "name dtype size size …", then its bytes; an empty line ends a case.
#include <fmt/format.h>

#include <cstdio>

#include "oracle/case_io.h"
#include "oracle/inputs.h"

int main(int argc, char** argv) try {
  using namespace attnfuzz;
  for (int k = 1; k < argc; ++k) {
    const Inputs inputs = make_inputs(read_case(argv[k]).c);
    for (const auto& [label, tensor] : inputs.all()) {
      fmt::print("{} {}", label, name(tensor.dtype));
      for (const int64_t size : tensor.shape) fmt::print(" {}", size);
      fmt::print("\n");
      if (!tensor.bytes.empty()) std::fwrite(tensor.bytes.data(), 1, tensor.bytes.size(), stdout);
    }
    fmt::print("\n");
  }
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
