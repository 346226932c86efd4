#pragma once
#include <cstdint>
#include <string>

namespace attnfuzz::measure {

/// Something that a target was seen to do otherwise than a case says.
struct Statement {
  std::string about;  ///< what was measured: "tokens", "scores", "rotation", "state" …
  std::string words;  ///< a sentence or two

  bool operator==(const Statement&) const = default;
};

/// How a fault (another meaning of the case that fits its output) stands up to other cases.
struct Trial {
  std::string fault;
  bool first = false;                  ///< it explains the case as it was first found
  int64_t failing = 0, explained = 0;  ///< cases that fail, and those that it explains
  int64_t passing = 0, kept = 0;  ///< cases that pass, and those in which it makes no difference

  /// It explains every case that fails, two at least, the one first found among them.
  bool explains_all() const { return first && failing > 1 && explained == failing; }
  /// And predicts every case that passes.
  bool shown() const { return explains_all() && kept == passing; }
  /// It explains some, two at least, and no case that passes speaks against it.
  bool stands() const { return explained > 1 && passing > 0 && kept == passing; }
  /// How many cases speak against it.
  int64_t against() const { return failing - explained + passing - kept; }
  bool operator==(const Trial&) const = default;
};

}  // namespace attnfuzz::measure
