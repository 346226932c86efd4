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

/// Tokens that each row of a cached case holds after each step (a ring: has seen).
std::vector<std::vector<int64_t>> totals_after(const Case& c);

/// A number in an error text and the axes that it can stand for, likeliest first.
struct NamedNumber {
  size_t offset, length;  ///< where it stands in the text
  int64_t value;
  std::vector<std::string> names;
};
std::vector<NamedNumber> name_numbers(std::string_view text, const Case& c);

/// "The size of tensor a (q_len=8) must match the size of tensor b (batch=2) at … dimension 0".
std::string annotate(std::string_view text, const Case& c);

/// A failure apart from the sizes of the case at hand. A number in an error text can stand for more
/// axes than the one that is meant (here batch and num_heads are both 2), and an output can have
/// more meanings than one; both are kept as sets that hold the truth and that a better case
/// narrows.
struct FailureClass {
  FailureKind kind = FailureKind::mismatch;
  std::string text;             ///< error, shape, crash …: the text with "{}" for each number
  std::vector<int64_t> values;  ///< of the numbers
  std::vector<std::vector<std::string>> names;  ///< of the numbers: the axes, sorted; or none
  std::vector<std::string> meanings;            ///< mismatch, nan, ignored: names of Verdict::fits
  std::vector<std::string> features;            ///< the case's, but for dtype and layout

  /// The same failure as `other`, as far as both can tell, and no less certain: each number's axes
  /// (each output's meanings; of an unexplained mismatch the features) are among the other's. The
  /// shrinker takes such cases alone, so axes stay distinct for as long as it matters.
  bool same_or_refines(const FailureClass& other) const;
  /// `other` need not be shrunk to know that it is this (shrunk) failure.
  bool covers(const FailureClass& other) const;
};
FailureClass classify(const Case& c, const Verdict& verdict);

/// What makes two failures the same: target, kind, and the error text with its numbers replaced by
/// the axes they name (or the meaning that the output has, or the features that it takes). Short,
/// stable, fit for a folder's name: "error-3f2a91c07b1e".
std::string signature(std::string_view target, const FailureClass& failure);
std::string signature(std::string_view target, const Case& c, const Verdict& verdict);

}  // namespace attnfuzz
