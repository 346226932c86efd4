#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "oracle/case.h"
#include "oracle/inputs.h"
#include "oracle/lower/plan.h"
#include "oracle/sample.h"

namespace attnfuzz {

/// How a target computes, as far as the error bound needs it. Types not named are the case's dtype.
struct Precision {
  DType accumulate = DType::f32;  ///< q·k, softmax sums and p·v
  DType p = DType::f32;           ///< the type in which p enters p·v
  double exp_ulps = 4;            ///< error of exp, in ulps of `accumulate`
  std::optional<DType> scores;    ///< the type in which scores are stored; none: `accumulate`
  bool flush_subnormals = false;
  int factor_bits = 0;  ///< significant bits that factors of products keep (TF32: 11); 0: all
  std::optional<DType> rope = {};  ///< in which q and k are turned by rope; none: `accumulate`
  bool truncates = false;          ///< sums in `accumulate` are cut off, not rounded to nearest
  bool operator==(const Precision&) const = default;
};

/// An output beside `out` that a case asks for, in the order of Problem::outputs: shape and dtype
/// by output_spec(); values and bounds as StepAnswer's. Where a row that sees no key gives anything
/// but zeros, or a visible number is not finite, the gradients that the row has a part in are
/// unchecked; so is the lse of a row that sees no key.
struct MoreAnswer {
  Output output;
  Shape shape;
  std::vector<double> values, bound;
  std::optional<RowSample> judged = {};  ///< as StepAnswer's
};

/// What one step must give. Elements in the order of the case's layout; shape as `out`. All but
/// `lengths`, `positions` and `capacity` is empty for a step that brings no tokens.
struct StepAnswer {
  Shape shape;                ///< of the whole output
  std::vector<double> out;    ///< exact up to double rounding; NaN where NaN is the answer
  std::vector<double> bound;  ///< |target − out| ≤ bound; +inf where the element is unchecked
  std::vector<int64_t> lengths;    ///< tokens cached for each row after the step; empty uncached
  std::vector<int64_t> positions;  ///< where each row's next token will stand; empty uncached
  int64_t capacity = 0;            ///< tokens that a row can hold; 0: no limit
  std::vector<MoreAnswer> more;    ///< beside out, for a step that brings tokens
  /// The rows that `out` and `bound` hold, in the order of RowSample; none: all, as they lie.
  std::optional<RowSample> judged = {};
};

struct Answer {
  std::vector<StepAnswer> steps;  ///< one for each step; one for a case without steps
};

/// The O(n²) double-precision answer, by the letter of exact arithmetic: a hidden key contributes
/// nothing, whatever it holds; a visible infinity or NaN in v gives what IEEE 754 gives for Σ p v,
/// and a visible key whose score is NaN or +inf gives NaN. Rows that no real query stands for (a
/// ragged step's tail) are unchecked. The bound's derivation: oracle/bounds.md. `threads` share the
/// batch rows and KV heads; the answer's bits do not depend on their number. Of long cases only
/// the rows of `sample` are worked out; an empty one means all.
Answer answer(const Case& c, const Inputs& inputs, const Precision& precision, const Sample& sample,
              int threads = 1);
/// By sample_of(c).
Answer answer(const Case& c, const Inputs& inputs, const Precision& precision, int threads = 1);

/// The same of a plan that need not be lower(c): what is read is the plan's, all else the case's.
Answer evaluate(const Case& c, const Plan& plan, const Inputs& inputs, const Precision& precision,
                const Sample& sample, int threads = 1);

/// The answer without bounds (StepAnswer::bound stays empty), of all rows.
Answer answer(const Case& c, const Inputs& inputs);

}  // namespace attnfuzz
