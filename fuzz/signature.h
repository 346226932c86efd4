#pragma once
#include <cstdint>
#include <optional>
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
  bool alias = false;  ///< here the same as one of the sizes it is made of ("tokens" of batch 1)
};
std::vector<NamedSize> named_sizes(const Case& c);

/// Tokens that each row of a cached case holds after each step (a ring: has seen).
std::vector<std::vector<int64_t>> totals_after(const Case& c);

struct FailureClass;

/// A number in an error text and the axes that it can stand for, likeliest first.
struct NamedNumber {
  size_t offset, length;  ///< where it stands in the text
  int64_t value;
  std::vector<std::string> names;
};
/// `learned`: what is known of a failure with this text from other cases (Finding::learned).
std::vector<NamedNumber> name_numbers(std::string_view text, const Case& c,
                                      const FailureClass* learned = nullptr);

/// "The size of tensor a (q_len=8) must match the size of tensor b (batch=2) at … dimension 0".
std::string annotate(std::string_view text, const Case& c, const FailureClass* learned = nullptr);

/// What a number in an error text can stand for, as far as the failures seen so far tell: one of
/// these axes, or always this number. Neither: it is made from the sizes in a way that has no name.
struct NumberReading {
  std::vector<std::string> names;  ///< likeliest first, aliases too
  std::optional<int64_t> constant;
  size_t ambiguity = 0;  ///< in the case last seen: how many names, aliases not counted

  bool is_open() const { return names.empty() && !constant; }
};

/// A failure apart from the sizes of the case that shows it. One case can't tell which axis a
/// number stands for when two have that size, nor which meaning an output has that fits two; a
/// class holds all that are possible, and other cases that fail the same way narrow it.
struct FailureClass {
  FailureKind kind = FailureKind::mismatch;
  std::string text;                    ///< error, shape, crash: with "{}" for each number
  std::vector<NumberReading> numbers;  ///< of the text
  std::vector<std::string> meanings;   ///< mismatch, nan, ignored: names of Verdict::fits
  std::vector<std::string> features;   ///< the case's, but for dtype and layout
  /// Whether the case fails in a new process. What does not is told apart by its kind alone: the
  /// case at hand is where it showed, not what it is.
  bool alone = true;

  /// `other`, seen on one case, can be the same failure: same kind and text, each number and the
  /// meanings can be the same. Of mismatches that nothing explains: other uses all the features.
  bool covers(const FailureClass& other) const;
  /// The same, for a smaller case while shrinking: a number that was no axis may change, meanings
  /// and features get fewer (a mismatch may become explained), and no number gets more ambiguous,
  /// so that axes stay distinct for as long as it matters.
  bool admits(const FailureClass& smaller) const;
  /// Keeps what `other` allows too.
  void narrow(const FailureClass& other);
  /// Goes on from a smaller case that it admits.
  void follow(const FailureClass& smaller);
  /// Whether other cases could tell more.
  bool is_ambiguous() const;
};
FailureClass classify(const Case& c, const Verdict& verdict);

/// Cases like c with one size raised, on which the same failure tells more about its numbers.
std::vector<Case> probes(const Case& c);

/// What makes two failures the same: target, kind, and the error text with its numbers replaced by
/// the axes they name (or the meaning that the output has, or the features that it takes). Short,
/// stable, fit for a folder's name: "error-3f2a91c07b1e".
std::string signature(std::string_view target, const FailureClass& failure);
std::string signature(std::string_view target, const Case& c, const Verdict& verdict);

}  // namespace attnfuzz
