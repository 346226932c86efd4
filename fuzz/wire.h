#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/campaign.h"

namespace attnfuzz::wire {

/// What processes of one campaign tell each other. Native byte order: both ends are one program.
struct Progress {
  uint64_t next = 0;    ///< all of the process's cases before this one are done
  CampaignStats stats;  ///< since the last message
  bool last = false;
};
struct Failure {
  uint64_t index = 0;
  uint64_t first = 0;  ///< case of the process that it failed in
  std::string signature;
  FailureClass failure;
  Verdict verdict;
  std::vector<Finding> found;  ///< it, as it was found: the process's first with that signature
};
/// What became of a failing case.
struct Shrinking {
  bool known = false;  ///< it is a failure that the campaign has: finding.first alone is filled
  Finding finding;
};
/// The process could not go on: an exception's text.
struct Trouble {
  bool bad_input = false;  ///< an InputError
  std::string text;
};

/// The first byte of a message.
enum class Kind : uint8_t { progress, failure, shrinking, trouble, outcome };
inline Kind kind_of(std::string_view message) {
  return static_cast<Kind>(message.front());
}

std::string pack(const Progress& x);
std::string pack(const Failure& x);
std::string pack(const Shrinking& x);
std::string pack(const Trouble& x);
std::string pack(const Outcome& x);
/// T must be what kind_of(message) says.
template <class T>
T unpack(std::string_view message);

}  // namespace attnfuzz::wire
