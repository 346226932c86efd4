#pragma once
#include <string>

#include "reports/errors.h"

/// Drawings for the HTML page, as SVG elements that take their colours from its style sheet. Empty
/// where there is nothing to draw; the first 64 rows and columns of larger ones.
namespace attnfuzz::figures {

/// The mask of one batch row and head. With `target`, the case in the meaning that the target's
/// output has: what it sees beyond the mask and what it misses stand out.
std::string mask(const Case& c, int64_t b, int64_t h, const Case* target = nullptr);

/// What errors() draws: "by head (rows) and query (columns)".
std::string axes_words(Output output);

/// The worst |error| / bound of each (step, batch row, head) and query, or what else the output has
/// an axis of, with lines every `tile` columns (0: none).
std::string errors(const Case& c, Output which, const std::vector<ElementError>& elements,
                   int64_t tile);

/// How many elements have which |error| / bound, by powers of ten.
std::string histogram(const std::vector<ElementError>& elements);

/// Each row's tokens after each step, as the target reports them beside what they must be.
std::string timeline(const Case& c, const Outcome& outcome);

}  // namespace attnfuzz::figures
