#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "oracle/bounds.h"
#include "oracle/case.h"

namespace attnfuzz {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Keys and values of one batch row and KV head, memory keys first, with 0 for what is not finite.
struct BackwardKeys {
  Matrix k, v;                  ///< [keys, head_dim], [keys, head_dim_v]
  std::vector<uint8_t> finite;  ///< [keys]: whether nothing had to be replaced
};

/// Some queries of one head.
struct BackwardBlock {
  Matrix q, grad_out;            ///< [rows, head_dim], [rows, head_dim_v]
  std::vector<uint8_t> visible;  ///< [rows, keys], memory keys included
  std::vector<uint8_t> shown;    ///< where BackwardTerms make P by another mask; or empty
  Matrix bias;                   ///< [rows, keys], or empty: none
  Matrix kept;                   ///< [rows, keys] dropout's factors, 0 or 1/keep; or empty
  double sink = -std::numeric_limits<double>::infinity();
};

/// A part of a gradient and the bounds of its elements' errors.
struct BackwardSum {
  Matrix value, error;
};

/// What a block of queries adds to the gradients.
struct BackwardShare {
  BackwardSum dq, dk, dv;  ///< [rows, head_dim], [keys, head_dim], [keys, head_dim_v]
  BackwardSum ds;          ///< [rows, keys]: what the bias gets
  double dsink = 0, dsink_error = 0;
  std::vector<uint8_t> unchecked;  ///< [rows]: has no part in the above, and nothing is sure there
};

using BackwardRow = Eigen::Array<double, 1, Eigen::Dynamic>;

/// One row of P before it is divided by its sum, from its scores s.
struct UnscaledWeights {
  const BackwardRow& s;
  BackwardRow& p;        ///< exp(s − max)
  double max, sink;      ///< the row's largest score; the sink's logit or −inf
  double &sum, &sink_p;  ///< Σ p with the sink's, and the sink's
};

/// The named intermediate values of the backward pass on their way from one formula to the next, as
/// the formulas have them. Diagnosis computes what other formulas would give by terms of its own:
/// see fuzz/faults/.
struct BackwardTerms {
  virtual ~BackwardTerms() = default;
  /// Row r of `shown`, [rows, keys]: the keys that P is made anew for.
  virtual void mask(const RowContext&, int64_t /*memory*/, int64_t /*keys*/, Eigen::Index /*r*/,
                    std::vector<uint8_t>& /*shown*/) const {}
  virtual void weights(const Problem&, UnscaledWeights) const {}
  /// D = Σ P dP, from dP without dropout and with it.
  virtual void row_dot(const BackwardRow& /*p*/, const BackwardRow& /*dp*/,
                       const BackwardRow& /*dropped*/, double& /*dot*/) const {}
  virtual void softcap_slope(const Problem&, BackwardRow& /*slope*/) const {}
  /// dS = P (dP − D); `a` is P after dropout.
  virtual void ds(const BackwardRow& /*p*/, const BackwardRow& /*a*/, double /*dot*/,
                  BackwardRow& /*ds*/) const {}
  virtual void dbias(const Problem&, const BackwardRow& /*ds*/, const BackwardRow& /*dz*/,
                     BackwardRow& /*dbias*/) const {}
  virtual void dq(const BackwardKeys&, const BackwardBlock&, const Matrix& /*a*/,
                  const Matrix& /*slope*/, double /*scale*/, Matrix& /*dq*/) const {}
};

/// The backward pass of one head, by some terms. Bounds only with a model. Keeps its buffers from
/// call to call.
class HeadBackward {
 public:
  /// `sums`: how many queries dk, dv and dsinks are summed over.
  HeadBackward(const Problem& problem, const ErrorModel* model, int64_t sums,
               const BackwardTerms& terms)
      : problem_(problem), model_(model), sums_(static_cast<double>(sums)), terms_(terms) {}

  const BackwardShare& run(const BackwardKeys& keys, const BackwardBlock& block);
  /// dk and dv of the keys in `columns` alone, in their order; no dq, no ds.
  const BackwardShare& run(const BackwardKeys& keys, const BackwardBlock& block,
                           const std::vector<Eigen::Index>& columns);

 private:
  using Row = BackwardRow;

  void weigh(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r);
  void differentiate(const BackwardBlock& block, Eigen::Index r);
  void find_differences(const BackwardKeys& keys, const BackwardBlock& block);
  void collect_queries(const BackwardKeys& keys, const BackwardBlock& block);
  /// From what belongs to some keys, or all of them: [rows, those keys].
  void collect_keys(const BackwardBlock& block, const Matrix& dz, const Matrix& a);

  void set_block(const BackwardKeys& keys, const BackwardBlock& block);
  Row scores(const BackwardBlock& block, Eigen::Index r);
  bool is_finite(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r,
                 const Row& s) const;
  void bound_weights(const BackwardBlock& block, Eigen::Index r, const Row& s, const Row& p,
                     double max, double sum);
  void bound_differences(const BackwardBlock& block, Eigen::Index r, double dot);
  void bound_queries();
  void bound_keys(const Matrix& dz, const Matrix& edz, const Matrix& a, const Matrix& ea);
  void leave_out(Eigen::Index r);

  const Problem& problem_;
  const ErrorModel* model_;
  double sums_;
  const BackwardTerms& terms_;
  BackwardShare share_;
  Matrix abs_k_, abs_v_, abs_q_, abs_g_;
  Row largest_v_;
  double k_norm_ = 0, v_norm_ = 0;
  Matrix s_, abs_s_, slope_, eslope_;  ///< [rows, keys]; slope: the softcap's
  Matrix p_, ep_, a_, ea_;             ///< P, and with dropout: as it weighs v
  Matrix dp_, abs_dp_, dz_, edz_;
  Matrix o_, wo_, w_;
  Row sink_p_, sink_ep_;  ///< [rows]
  std::vector<RowError> errors_;

  double dot_error(const BackwardBlock& block, Eigen::Index r, const Row& edp, double dot) const;
  double summing(double terms) const;
};

}  // namespace attnfuzz
