#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/faults/fault.h"
#include "oracle/answer.h"
#include "targets/target.h"

namespace attnfuzz {

enum class VerdictKind : uint8_t { pass, fail, skip };
template <>
inline constexpr std::array<std::string_view, 3> names_of<VerdictKind>{"pass", "fail", "skip"};

enum class FailureKind : uint8_t {
  mismatch,  ///< outside the error bound
  nan,       ///< not finite where the answer is, or the other way round
  shape,     ///< wrong output shape, dtype or number of steps, or a wrong cache length
  error,     ///< raised on a case it claims
  crash,
  timeout,
  memory,
  nondeterminism,  ///< same input, other bits: in another run, or with other rows in the batch
  ignored,         ///< an option made no difference where it must
  relation,        ///< a relation between two cases' outputs does not hold (fuzz/relations/)
};
template <>
inline constexpr std::array<std::string_view, 10> names_of<FailureKind>{
    "mismatch", "nan",    "shape",          "error",   "crash",
    "timeout",  "memory", "nondeterminism", "ignored", "relation"};

/// The element that is furthest outside its bound, by logical coordinates: see element_place() in
/// fuzz/elements.h.
struct WorstElement {
  int64_t step = 0, b = 0, h = 0, i = 0, d = 0;
  double got = 0, want = 0, bound = 0;
  Output output = Output::out;
};

struct Relation;

/// The oracle's judgement of an Outcome. skip: the target declined.
struct Verdict {
  VerdictKind kind = VerdictKind::pass;
  FailureKind failure = FailureKind::mismatch;
  std::string detail;  ///< one line: what was wrong, with numbers
  /// What of a detail tells bugs apart, where that is not the whole: of a wrong shape the axes that
  /// are wrong, whatever the layout and the step; of a wrong length what was said.
  std::string dedup_text;
  WorstElement worst;
  int64_t wrong = 0, checked = 0;  ///< elements outside the bound, elements compared
  double worst_ratio = 0;          ///< max |error| / bound over the checked elements
  /// NaN or infinities of hidden keys came through: what any meaning gives that sees more keys.
  bool leaked = false;
  /// How many of a cached case's steps take part: the last one failed.
  size_t steps = SIZE_MAX;
  /// Of a wrong value, or of what a cache says of itself: meanings that the outcome has.
  std::vector<const Fault*> fits;
  const Relation* relation = nullptr;  ///< the one that was looked into, if any

  bool failed() const { return kind == VerdictKind::fail; }
};

/// Names of faults that an outcome is held against; null: all there are.
using Among = const std::vector<std::string>*;

Verdict judge(const Case& c, const Inputs& inputs, const Precision& precision,
              const Outcome& outcome, Among among = nullptr);

/// A case's run and its judgement.
struct Examination {
  Outcome outcome;
  Verdict verdict;
  std::string signature;  ///< empty unless it failed: see fuzz/signature.h
  Precision precision;    ///< the target's, by which it was judged
};
/// `properties` holds a passing case to what the target declares (Property): runs it again, and its
/// first row alone, and compares the bits (nondeterminism). Where hidden keys hold NaN or
/// infinities that come through, the case is run on finite data as well: its meanings are those
/// that both outputs have.
Examination examine(Target& target, const Case& c, bool properties = false, Among among = nullptr);

}  // namespace attnfuzz
