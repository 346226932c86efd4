#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/judge.h"
#include "oracle/case.h"

namespace attnfuzz {

/// A number that a case can be said to contain: a size ("q_len"), or one made of sizes ("tokens =
/// batch·q_len", "hidden = num_heads·head_dim", "group = num_heads/num_kv_heads", "past_len").
struct NamedSize {
  std::string name;
  int64_t value;
};
std::vector<NamedSize> named_sizes(const Case& c);

/// A number in an error text and the axes that it can stand for, likeliest first.
struct NamedNumber {
  size_t offset, length;  ///< where it stands in the text
  int64_t value;
  std::vector<std::string> names;
};
std::vector<NamedNumber> name_numbers(std::string_view text, const Case& c);

/// "The size of tensor a (q_len=8) must match the size of tensor b (batch=2) at … dimension 0".
std::string annotate(std::string_view text, const Case& c);

/// What makes two failures the same: target, kind, and the error text with its numbers replaced by
/// the axes they name (or the meaning that the output has). Short, stable, fit for a folder's name:
/// "error-3f2a91c07b1e".
std::string signature(std::string_view target, const Case& c, const Outcome& outcome,
                      const Verdict& verdict);

}  // namespace attnfuzz
