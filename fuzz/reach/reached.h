#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace attnfuzz {

/// The goals of a target by name, each with why no case of the campaign reached it; empty where one
/// did.
using Reach = std::map<std::string, std::string>;

/// What is reached by either of two parts of a campaign is reached.
void merge(Reach& reach, const Reach& other);

uint64_t reached_goals(const Reach& reach);

}  // namespace attnfuzz
