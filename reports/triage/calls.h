#pragma once
#include <string>
#include <vector>

#include "reports/triage/triage.h"

/// Calls as a reporter's code makes them: with the mask of the wrong shape, the keys of another
/// length, the cache that is too short. The caller's mistake is the case, so no Case (which is
/// always well formed) can have it.
namespace attnfuzz::triage {

/// A program of some lines for an installed package, which does what was read with the shapes that
/// were read.
struct Call {
  std::string package;  ///< "torch"
  std::string what;     ///< "scores (2, 8, 63, 63) + mask (2, 8, 63, 59)"
  std::string program;  ///< Python; prints the version, then the error's text
};

/// What the reading's operation can be in the packages that do it; empty where none is known.
std::vector<Call> calls_for(const Reading& reading);

/// The module that calls of the package "strict" import, attnfuzz_strict.py: frameworks' checks of
/// shapes in their words.
std::string_view strict_program();

/// What a call said when it was run.
struct Called {
  Call call;
  std::string version;  ///< of the package; empty: not installed
  std::string text;     ///< the error's text; empty: it raised none
  bool same = false;    ///< the very text, numbers and all
};
Called run_call(const Call& call, const Reading& reading);

/// An issue's body about the text itself: what was read, how sure, the mistake, and the program
/// that raises it; or, without one, that it was not found again and what is to be asked.
std::string triage_issue(const Reading& reading, const Called* found);

/// A line or two for a terminal.
std::string called_text(const Called& called);

}  // namespace attnfuzz::triage
