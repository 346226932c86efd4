#pragma once
#include <string>
#include <string_view>

#include "fuzz/campaign.h"

namespace attnfuzz {

/// A judged case in the words of CaseFile::expect, in full: "pass", "skip", or "fail:KIND WORD"
/// with the likeliest cause that says why; where none does, with the signature.
std::string expectation_of(const Finding& finding);

/// Whether it came out as a case file expects. An expected failure without a word is met by any of
/// its kind; one with a word by this signature or likeliest cause alone.
bool meets(std::string_view expected, const Finding& finding);

}  // namespace attnfuzz
