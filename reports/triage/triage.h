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
  size_t message_begin = 0, message_end = 0;  ///< which of the lines are the message
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
/// Sizes that the text gives as a list: "B, H, S = 4, 2, 1500".
std::vector<KnownSize> sizes_in(std::string_view text);

/// A number of the message and the axis that it stands for.
struct NumberAxis {
  int64_t value = 0;
  std::string axis;   ///< "kv_len"; empty: not told
  std::string of;     ///< whose: "mask"; empty: not told
  size_t offset = 0;  ///< in Reading::core; npos for a number of another line

  std::string words() const;  ///< "kv_len=8 (mask)"
};

/// A shape of the message.
struct TensorRead {
  std::string of;
  std::vector<int64_t> sizes;
};

/// How far a reading is to be trusted.
enum class Sureness : uint8_t {
  none,    ///< the text is not read
  open,    ///< another reading is about as likely
  likely,  ///< the likeliest of several
  sure
};
std::string_view name_of(Sureness sureness);

/// An error text with its numbers named.
struct Reading {
  Traceback traceback;
  std::string core;  ///< the part of the message that has the numbers
  std::string form;  ///< what was done: "elementwise"; empty: not told
  std::string a, b;  ///< what met: "scores", "mask"
  Sureness sureness = Sureness::none;
  std::vector<NumberAxis> numbers;  ///< of other lines, then of the message in its order
  size_t context = 0;               ///< how many are of other lines
  std::optional<std::pair<size_t, size_t>> meet;  ///< which two of them should have agreed
  std::vector<TensorRead> tensors;                ///< in the text's order
  std::optional<int64_t> dim;                     ///< which dimension the text names
  int64_t elements = 0;                           ///< of the tensor, where the text tells
  std::vector<NumberAxis> instead;     ///< the second likeliest reading, where the first is open
  std::vector<std::string> notes;      ///< what the numbers' relation says
  std::vector<std::string> questions;  ///< to the reporter: what would decide
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
