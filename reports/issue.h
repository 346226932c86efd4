#pragma once
#include <string>

#include "reports/report.h"

namespace attnfuzz {

/// What an issue tells besides the finding itself; each only if it is known.
struct IssueFacts {
  std::string reported;  ///< the error text that led here
  std::string bisect;    ///< what `attnfuzz bisect` printed last
};

/// A finding as the body of an issue, in Markdown: title, what happened, expected, a repro of at
/// most 30 lines, versions, cause, and the releases between which it came or went. Says nothing
/// that was not measured: a cause is called likely unless the output equals another meaning.
std::string issue_markdown(const Report::Item& item, const IssueFacts& facts = {});

}  // namespace attnfuzz
