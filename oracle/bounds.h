#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "oracle/answer.h"
#include "oracle/case.h"

namespace attnfuzz {

/// The constants of the error bound, from the problem and the target's precision. Symbols as in
/// oracle/bounds.md; a unit roundoff includes the oracle's own, 2^-53.
struct ErrorModel {
  double u, u_scores, u_p, u_out;  ///< unit roundoff of accumulator, stored scores, p, output
  double u_factor;                 ///< of the factors of products, where they are rounded
  double exp;                      ///< relative error of exp
  double dot;                      ///< error of a scaled score, relative to Σ|q||k|
  double rope, per_position;       ///< error of a turned pair, relative: fixed, and with position
  double softcap;                  ///< absolute error of the softcap
  double bias;                     ///< relative error of the bias as the target may have got it
  double largest_bias;             ///< … beyond which it may have got no more than this
  double scale;                    ///< max(1, |scale|)
  double scale_of_scores;          ///< |scale|
  double tiny, tiny_inputs, tiny_p, tiny_out;         ///< largest error of a result that underflows
  double max_score, max_accumulated, max_out, max_p;  ///< larger values may overflow
  double dropout;  ///< what dropout multiplies a kept weight with; 1: no dropout
  double u_lse;    ///< unit roundoff of lse
  double sure_p;   ///< a p (relative to Σ p) above it can not have underflowed
  int64_t head_dim;

  ErrorModel(const Problem& problem, const Precision& precision);
  /// How far a bias may be off as the target has got it.
  double of_bias(double added) const {
    if (std::isinf(added)) return 0;  // no rounding comes near it
    const double size = std::abs(added);
    return bias * (size + 4) + std::max(0.0, size - largest_bias);
  }
  /// `dot`, with q and k turned at positions up to this one.
  double dot_at(double position) const;
};

/// The scores of one query row. Arrays have `size` elements; where `visible` is 0, only abs_dot is
/// looked at.
struct ScoreRow {
  int64_t size;
  const uint8_t* visible;
  const double* score;
  const double* abs_dot;  ///< Σ|q||k|
  const double* off_dot;  ///< Σ|q|·(how far k may be off); nullptr: 0
  const double* bias;     ///< what has been added to the score; nullptr: nothing
  const double* p;        ///< exp(score − max)
  double max, sum;        ///< of score (and sink), of p (and exp(sink − max))
  double sink;            ///< −inf: none
  double q_norm, k_norm;  ///< ‖q‖₁, and the largest ‖k‖₁
  double position;        ///< the farthest that rope turns any of them by
};

/// What is the same for all output elements of a row.
struct RowError {
  double relative = 0;  ///< ρ
  double weights = 0;   ///< E = Σ w / Σ p
  double hull = 0;      ///< how much larger than every |v| an output can be, relative
  double tiny = 0;      ///< of p·v underflowing
  double keys = 0;      ///< how many are seen
  double sink = 0;      ///< error of the sink's share of Σ p
  bool unchecked = false;
};

/// Bounds the error of each p: w[j], 0 for hidden keys.
RowError row_error(const ErrorModel& model, const ScoreRow& row, double* w);

/// Bounds |target − lse| of a row with this maximum and log Σ p.
double lse_bound(const ErrorModel& model, const RowError& row, double max, double log_sum);

/// (1 + u)^k − 1: what k roundings make of a number, relatively.
double growth(double u, double k);
/// e^x − 1, or a little more.
double exponential_growth(double x);

/// Bounds |target − out| for `size` elements. `weighted` is Σ w|v| / Σ p, `largest` the largest |v|
/// that the element may be made of.
void element_bounds(const ErrorModel& model, const RowError& row, int64_t size, const double* out,
                    const double* weighted, const double* largest, double* bound);

}  // namespace attnfuzz
