// Prints the oracle's answers to case files, in doubles, for independent_answer_test.py: for each
// tensor a line "name type size size …", then its bytes; an empty line ends a case.
#include <fmt/format.h>

#include <cstdio>
#include <span>
#include <string>

#include "oracle/answer.h"
#include "oracle/case_io.h"

namespace {

template <class T>
void dump(const std::string& label, const char* type, std::span<const int64_t> shape,
          const std::vector<T>& values) {
  fmt::print("{} {}", label, type);
  for (const int64_t size : shape) fmt::print(" {}", size);
  fmt::print("\n");
  if (!values.empty()) std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace attnfuzz;
  const Precision exact{DType::f64, DType::f64, 4, {}, false};
  for (int k = 1; k < argc; ++k) {
    const Case c = read_case(argv[k]).c;
    const Answer found = answer(c, make_inputs(c), exact);
    for (size_t n = 0; n < found.steps.size(); ++n) {
      const StepAnswer& step = found.steps[n];
      if (!step.shape.empty()) {
        dump(fmt::format("out.{}", n), "f8", step.shape, step.out);
        dump(fmt::format("bound.{}", n), "f8", step.shape, step.bound);
      }
      for (const MoreAnswer& more : step.more) {
        dump(fmt::format("{}.{}", name(more.output), n), "f8", more.shape, more.values);
        dump(fmt::format("{}.bound.{}", name(more.output), n), "f8", more.shape, more.bound);
      }
      const int64_t rows[] = {static_cast<int64_t>(step.lengths.size())};
      dump(fmt::format("lengths.{}", n), "i8", rows, step.lengths);
      dump(fmt::format("positions.{}", n), "i8", rows, step.positions);
      const int64_t one[] = {1};
      dump(fmt::format("capacity.{}", n), "i8", one, std::vector<int64_t>{step.capacity});
    }
    fmt::print("\n");
  }
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
