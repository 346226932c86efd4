#pragma once
#include <string>

namespace attnfuzz::measure {

/// Something that a target was seen to do otherwise than a case says.
struct Statement {
  std::string about;  ///< what was measured: "tokens", "scores", "rotation", "state" …
  std::string words;  ///< a sentence or two

  bool operator==(const Statement&) const = default;
};

}  // namespace attnfuzz::measure
