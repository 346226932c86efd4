#pragma once
#include <string>
#include <string_view>

namespace attnfuzz::measure {

/// The rule that a statement begins with, its numbers and their signs aside: what follows are
/// counts and examples, and so is what stands in parentheses with numbers.
std::string rule_of(const std::string& words);

/// A text with a mark in the place of each number and each list of numbers.
std::string without_numbers(std::string_view text);

/// What a statement says of all queries: numbers of rules stay, counts of queries and examples go.
std::string without_counts(const std::string& words);

}  // namespace attnfuzz::measure
