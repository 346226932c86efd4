/// libFuzzer harness of the readers of what attnfuzz writes: a store's items, baselines and
/// summaries. The first byte chooses one. Any bytes are read or give an InputError.
#include <cstdlib>

#include "reports/baseline.h"
#include "reports/item_json.h"
#include "reports/summary.h"
#include "reports/writers/writers.h"

namespace {

using namespace attnfuzz;

void read_item(std::string_view text) {
  const Report::Item item = item_from_json(text, "input");
  const std::string written = item_to_json(item);
  if (item_to_json(item_from_json(written, "written")) != written) std::abort();
  Report report;
  report.items.push_back(item);
  for (const Writer& writer : writers())
    if (writer.write != nullptr && writer.write(report).empty()) std::abort();
}

void read_baseline(std::string_view text) {
  const std::string written = write_baseline(parse_baseline(text, "input"));
  if (write_baseline(parse_baseline(written, "written")) != written) std::abort();
}

void read_summary(std::string_view text) {
  parse_summary(text, "input");
}

constexpr void (*readers[])(std::string_view) = {read_item, read_baseline, read_summary};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    readers[data[0] % std::size(readers)](text.substr(1));
  } catch (const attnfuzz::InputError&) {
  }
  return 0;
}
