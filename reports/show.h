#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "oracle/case.h"

/// A case for people: words, tables and drawings in plain text.
namespace attnfuzz {

/// The case in a few lines of words: sizes, the mask's rules, conventions, data, and the steps of a
/// cached case with the lengths after each.
std::string describe(const Case& c);

/// "judged: 64 of 4096 query rows: 0, 1, …" for each step that is judged on some of its rows; none
/// where all are judged (oracle/sample.h).
std::vector<std::string> judged_words(const Case& c);

/// The named axes and options that a table of the case lists: ("q_len", "8").
std::vector<std::pair<std::string, std::string>> axes_table(const Case& c);

/// "window(left=3, right=0)".
std::string rule_text(const RuleUse& use);

/// The mask of batch row b and query head h: a line for each query, a column for each key, '█' (or
/// '#') where it is seen. At most `width` columns wide; the middle of what is longer is left out,
/// and a line says so. A cached case is drawn step by step, over the positions of its tokens.
/// Nothing for row or head 0 of a case that has none; throws InputError for others that it has not.
std::string draw_mask(const Case& c, int64_t b, int64_t h, bool unicode, int64_t width = 80);

}  // namespace attnfuzz
