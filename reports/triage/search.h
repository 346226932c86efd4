#pragma once
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "reports/report.h"
#include "reports/triage/triage.h"
#include "targets/target.h"

/// From an error text to a case that gives it.
namespace attnfuzz::triage {

/// A case that may fail the way the text says, and what it was chosen for.
struct Proposal {
  std::string why;  ///< "a boolean mask of its own for each batch row"
  Case c;
};

/// The smallest cases that the target claims and that have what the text is about, likeliest first.
/// Sizes are those of the reading where the target takes them, distinct small ones otherwise.
std::vector<Proposal> propose(const Reading& reading, const Capabilities& capabilities);

/// How a search went on one target.
struct Search {
  std::string target, version;
  uint64_t proposals = 0, generated = 0;  ///< cases run
  uint64_t other_failures = 0;            ///< cases that failed in another way
  std::string why;                        ///< of the proposal that failed; empty: a generated case
  std::optional<Finding> finding;         ///< the same complaint, shrunk
  bool same_axes = false;                 ///< its numbers can stand for the axes that were read
  std::optional<Case> same_numbers;       ///< gives the text with the reader's own numbers
};

struct SearchOptions {
  uint64_t seed = 1;
  uint64_t cases = 200;  ///< generated ones, after the proposals
  int64_t max_shrink_tries = 2000;
  const std::atomic<bool>* interrupt = nullptr;
};

/// Runs the proposals, then generated cases, until one raises what the text says with numbers of
/// the axes that were read (or else takes the first that raises it with others), and shrinks it.
Search search(Target& target, const Reading& reading, const SearchOptions& options);

/// Whether an outcome's text makes the reading's complaint, numbers apart.
bool same_complaint(const Reading& reading, const std::string& text);

}  // namespace attnfuzz::triage
