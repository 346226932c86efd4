#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/tensor.h"
#include "reports/diagnose.h"

/// A stranger's error text, read without a Case: which axis each number stands for.
namespace attnfuzz::triage {

/// A traceback (or a bug report that quotes one) taken apart.
struct Traceback {
  std::string error;               ///< "RuntimeError"; empty where no line names one
  std::string message;             ///< what it says, on one line
  std::string whole;               ///< all of the text on one line
  std::string package;             ///< as targets are named: "transformers"; empty: not told
  std::vector<std::string> lines;  ///< without prompts, boxes and ranks
};
Traceback read_traceback(std::string_view raw);

/// A size that is known besides the numbers of the error text.
struct KnownSize {
  std::string axis;  ///< "kv_len"
  std::string of;    ///< whose, where not the call's own: "mask"
  int64_t value;
};

/// "q=2x8x4x32,k=2x8x6x32,mask=2x1x4x6". `layout` says what the axes of q, k and v are: bhsd, bshd,
/// bsd ([batch, len, hidden]) or nsd ([batch*heads, len, dim]); a tensor of three axes is bsd
/// unless told. Throws InputError naming --shapes.
std::vector<KnownSize> parse_shapes(std::string_view text, std::string_view layout);
/// Sizes that the text itself gives: "num_heads=8", "B, H, S = 4, 2, 1500".
std::vector<KnownSize> sizes_in(std::string_view text);
/// The axis that a name of the field stands for ("bsz", "num_attention_heads"); empty: none.
std::string_view axis_of_word(std::string_view word);

/// What is done to which tensors, as far as the traceback's code tells.
struct Operation {
  std::string_view name;        ///< "scores and mask"
  std::string_view fragments;   ///< of source lines that do it, separated by " | "
  std::string_view a, b;        ///< the operands' axes, comma-separated
  std::string_view of_a, of_b;  ///< whose sizes these are, where not the call's own
};
std::span<const Operation> operations();
/// The operation of the innermost line that shows one; nullptr where none does.
const Operation* find_operation(const Traceback& traceback);
/// What an error of this name is most often about.
const Operation& likely_operation(std::string_view pattern);

/// A number of the message and the axis that it stands for.
struct NumberAxis {
  std::string capture;  ///< the pattern's name for it
  int64_t value = 0;
  std::string axis;   ///< "kv_len"; empty: not told
  std::string of;     ///< "mask", "limit"; empty: the call's own
  std::string why;    ///< "its place", "its value"; empty: not told
  size_t offset = 0;  ///< in Reading::core

  std::string words() const;  ///< "kv_len=8 (mask)"
};

/// An error text with its numbers named.
struct Reading {
  Traceback traceback;
  std::string pattern;    ///< the cause's name; empty: no pattern knows the text
  std::string core;       ///< the part of the text that the pattern matched
  std::string operation;  ///< Operation::name; empty where the pattern needs none
  bool assumed = false;   ///< no line shows the operation: the likely one is taken
  std::vector<NumberAxis> numbers;
  std::vector<std::string> notes;  ///< what the numbers' relation says
  std::optional<Cause> cause;
  std::vector<KnownSize> known;

  /// The size of an axis of the call itself, if it is known.
  std::optional<int64_t> size(std::string_view axis) const;
  /// core with the numbers named: "… tensor a (q_len=8) must match …".
  std::string named_core() const;
};
Reading read_error(std::string_view raw, std::vector<KnownSize> known = {});

/// "the size of tensor a ({}) must match …": lower case, white space folded, numbers that are sizes
/// replaced. Two failures with the same template are the same complaint.
std::string text_template(std::string_view text);

}  // namespace attnfuzz::triage
