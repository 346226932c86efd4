#pragma once
#include <string>
#include <vector>

#include "reports/triage/search.h"
#include "reports/triage/triage.h"

namespace attnfuzz::triage {

/// The reading for a terminal: the text with its numbers named, each number's axis and how it was
/// told, the likely cause.
std::string reading_text(const Reading& reading);

/// The numbers of the message, each once; without those that stand for any size.
std::vector<NumberAxis> numbers_told(const Reading& reading);

/// The likely mistake, on the condition that the reading is right where it is an open one.
std::string mistake_text(const Reading& reading);

/// One line for each target that was asked, and what it gave.
std::string search_text(const Search& search);

/// All of it as one JSON object.
std::string triage_json(const Reading& reading, const std::vector<Proposal>& proposals,
                        const std::vector<Search>& searches);

}  // namespace attnfuzz::triage
