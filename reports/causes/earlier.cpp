#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

constexpr CauseEntry table[] = {
    {"kept-between-calls",
     "Alone in a new process the case passes: something that the target keeps from call to call "
     "takes part, such as a mask, a table or a compiled function cached under too few of the "
     "case's sizes, state that a reset leaves, or memory that is not initialised."},
};

}  // namespace

std::vector<Cause> causes_from_earlier(const Finding& finding) {
  if (finding.learned.alone) return {};
  return {{std::string(table[0].name), std::string(table[0].words)}};
}

std::span<const CauseEntry> earlier_table() {
  return table;
}

}  // namespace attnfuzz
