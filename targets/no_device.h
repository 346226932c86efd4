#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "oracle/error.h"

namespace attnfuzz {

/// How the reason begins.
inline constexpr std::string_view no_device = "no GPU here";

/// A target asks for a device that this machine lacks: campaigns and replays skip it.
class NoDevice : public InputError {
 public:
  NoDevice(const std::string& target, std::string reason)
      : InputError(target, "", reason), why(std::move(reason)) {}
  std::string why;
};

}  // namespace attnfuzz
