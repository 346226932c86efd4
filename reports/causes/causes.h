#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/campaign.h"
#include "fuzz/signature.h"
#include "reports/causes/text_match.h"
#include "reports/diagnose.h"

/// The parts of diagnose(): each gives the causes that it knows of.
namespace attnfuzz {

/// A case that fails only after others in the same process.
std::vector<Cause> causes_from_earlier(const Finding& finding);
/// How far it was shown that the output has another meaning of the case.
enum class Standing {
  shown,   ///< it explains all that fails, and predicts what passes or when it fails
  stands,  ///< it explains all that fails, or some, and nothing that passes speaks against it
  first,   ///< it fits the case as it was first found
  shrunk,  ///< it fits the shrunk case alone
};
/// Other meanings of the case that the output has, of these standings.
std::vector<Cause> causes_from_fits(const Finding& finding, Standing from, Standing to);
/// What experiments on the target showed. `law`: the statements that tell by which rule values are
/// wrong; else those that tell what was seen without one.
std::vector<Cause> causes_from_measurement(const Finding& finding, bool law);
/// `learned` as for name_numbers().
std::vector<Cause> causes_from_text(std::string_view text, const Case& c,
                                    const FailureClass* learned = nullptr);
std::vector<Cause> causes_from_lengths(const Finding& finding);
std::vector<Cause> causes_from_offset(const Finding& finding);
/// A softmax that goes wrong from tile to tile or part to part.
std::vector<Cause> causes_from_softmax(const Finding& finding);
/// NaN or infinities that come through. `hidden`: those of hidden keys, which nearly every other
/// meaning has in the output as well, so that they come first; else those of keys that are seen.
std::vector<Cause> causes_from_leaks(const Finding& finding, bool hidden);
/// Elements that still hold what they held before the call.
std::vector<Cause> causes_from_unwritten(const Finding& finding);
/// Other values that are not finite: overflow.
std::vector<Cause> causes_from_nonfinite(const Finding& finding);
/// Nothing but numbers below the smallest normal one is wrong: other meanings have them too by
/// chance, so this comes before these.
std::vector<Cause> causes_from_flushing(const Finding& finding);
/// A mismatch that a lower precision than the declared one explains.
std::vector<Cause> causes_from_precision(const Finding& finding);
std::vector<Cause> causes_from_location(const Finding& finding);

/// An error text of a system and what it says once its numbers are named. One table for each
/// system, one line for each text. In `words`, {a} is the captured number with its axis
/// ("q_len=8"), {a:n} the number alone; {hint} is the likely mistake (see AxisPair), told from the
/// captures a and b (from c and d where a and b are equal, from the sizes that differ where there
/// are two shapes, one and two), {mismatch} what differs in these shapes, an axis {except} apart.
struct TextPattern {
  std::string_view name;     ///< the cause's name
  std::string_view pattern;  ///< see match_text
  std::string_view words;
};
/// All tables, one for each system.
std::span<const std::span<const TextPattern>> text_patterns();
extern const std::span<const TextPattern> pytorch_patterns, onnxruntime_patterns, array_patterns,
    sanitizer_patterns, gpu_patterns;

/// What a captured number can stand for.
struct NamedCapture {
  int64_t value = 0;
  std::vector<std::string> names;  ///< likeliest first

  std::string words() const;  ///< "q_len=8"
};
using NamedCaptures = std::map<std::string, std::vector<NamedCapture>, std::less<>>;
/// The row's words with the captures in them, and the likely mistake.
Cause word_cause(const TextPattern& row, const NamedCaptures& captures);

/// What kind of axis a size is.
enum class AxisKind {
  other,
  batch,
  heads,
  kv_heads,
  q_len,
  kv_len,
  dim,
  limit,
  tokens,
  with_memory
};
AxisKind axis_kind(std::string_view axis);

/// Two axes that meet in an error text, and the mistake that makes them meet.
struct AxisPair {
  std::string_view name;
  AxisKind a, b;
  std::string_view words;  ///< {a} and {b}: the sizes with their axes
};
std::span<const AxisPair> axis_pairs();
std::span<const CauseEntry> earlier_table();
std::span<const CauseEntry> measured_table();
std::span<const CauseEntry> length_table();
std::span<const CauseEntry> softmax_table();
std::span<const CauseEntry> unwritten_table();
std::span<const CauseEntry> nonfinite_table();
std::span<const CauseEntry> precision_table();
std::span<const CauseEntry> location_table();

}  // namespace attnfuzz
