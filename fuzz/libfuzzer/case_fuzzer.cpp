/// libFuzzer harness of the case file's reader: any bytes are a case or an InputError, and what was
/// read is written in a form that reads back the same.
#include <cstdlib>

#include "oracle/case_io.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attnfuzz;
  try {
    const CaseFile file =
        parse_case(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    const std::string text = write_case(file);
    const CaseFile again = parse_case(text, "written");
    if (!(again.c == file.c) || write_case(again) != text) std::abort();
    if (features(file.c).empty() || one_line(file.c).empty()) std::abort();
  } catch (const InputError&) {
  }
  return 0;
}
