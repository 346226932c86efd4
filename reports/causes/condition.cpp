#include "reports/causes/condition.h"

#include "fuzz/measure/untold.h"

namespace attnfuzz {

void add_condition(const Finding& finding, std::vector<Cause>& causes) {
  for (const measure::Statement& each : finding.measured) {
    if (!measure::says_when(each)) continue;
    if (causes.empty())
      causes.push_back({"when", each.words});
    else
      causes.front().words += " " + each.words;
  }
}

}  // namespace attnfuzz
