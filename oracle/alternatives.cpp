#include "oracle/alternatives.h"

#include "oracle/alternatives/rewrite.h"

namespace attnfuzz {

std::span<const Alternative> alternatives() {
  static const std::vector<Alternative> table = [] {
    std::vector<Alternative> all;
    for (const auto group : {alternative::position(), alternative::cache(), alternative::mask(),
                             alternative::bias(), alternative::score(), alternative::state()}) {
      all.insert(all.end(), group.begin(), group.end());
    }
    return all;
  }();
  return table;
}

}  // namespace attnfuzz
