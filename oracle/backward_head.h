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
  /// Row r of `shown`, [rows, keys]: the keys that P is made anew for.
  void mask(const RowContext&, int64_t /*memory*/, int64_t /*keys*/, Eigen::Index /*r*/,
            std::vector<uint8_t>& /*shown*/) const {}
  void weights(const Problem&, UnscaledWeights) const {}
  /// D = Σ P dP, from dP without dropout and with it.
  void row_dot(const BackwardRow& /*p*/, const BackwardRow& /*dp*/, const BackwardRow& /*dropped*/,
               double& /*dot*/) const {}
  void softcap_slope(const Problem&, BackwardRow& /*slope*/) const {}
  /// dS = P (dP − D); `a` is P after dropout.
  void ds(const BackwardRow& /*p*/, const BackwardRow& /*a*/, double /*dot*/,
          BackwardRow& /*ds*/) const {}
  void dbias(const Problem&, const BackwardRow& /*ds*/, const BackwardRow& /*dz*/,
             BackwardRow& /*dbias*/) const {}
  void dq(const BackwardKeys&, const BackwardBlock&, const Matrix& /*a*/, const Matrix& /*slope*/,
          double /*scale*/, Matrix& /*dq*/) const {}
};

/// What the backward pass of one head needs whatever its terms: buffers and bounds. Bounds only
/// with a model. Keeps its buffers from call to call.
class HeadBackwardBase {
 protected:
  using Row = BackwardRow;

  HeadBackwardBase(const Problem& problem, const ErrorModel* model, int64_t terms)
      : problem_(problem), model_(model), terms_(static_cast<double>(terms)) {}

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
  double terms_;
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

 private:
  double dot_error(const BackwardBlock& block, Eigen::Index r, const Row& edp, double dot) const;
  double summing(double terms) const;
};

/// The backward pass of one head.
template <class Terms>
class HeadBackward : private HeadBackwardBase {
 public:
  /// `terms`: how many queries dk, dv and dsinks are summed over.
  HeadBackward(const Problem& problem, const ErrorModel* model, int64_t terms, const Terms& of)
      : HeadBackwardBase(problem, model, terms), of_(of) {}

  const BackwardShare& run(const BackwardKeys& keys, const BackwardBlock& block);
  /// dk and dv of the keys in `columns` alone, in their order; no dq, no ds.
  const BackwardShare& run(const BackwardKeys& keys, const BackwardBlock& block,
                           const std::vector<Eigen::Index>& columns);

 private:
  void weigh(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r);
  void differentiate(const BackwardBlock& block, Eigen::Index r);
  void find_differences(const BackwardKeys& keys, const BackwardBlock& block);
  void collect_queries(const BackwardKeys& keys, const BackwardBlock& block);
  /// From what belongs to some keys, or all of them: [rows, those keys].
  void collect_keys(const BackwardBlock& block, const Matrix& dz, const Matrix& a);

  [[no_unique_address]] Terms of_;
};

template <class Terms>
const BackwardShare& HeadBackward<Terms>::run(const BackwardKeys& keys,
                                              const BackwardBlock& block) {
  find_differences(keys, block);
  collect_queries(keys, block);
  collect_keys(block, dz_, a_);
  if (model_ == nullptr) return share_;
  bound_queries();
  bound_keys(dz_, edz_, a_, ea_);
  return share_;
}

template <class Terms>
const BackwardShare& HeadBackward<Terms>::run(const BackwardKeys& keys, const BackwardBlock& block,
                                              const std::vector<Eigen::Index>& columns) {
  find_differences(keys, block);
  const auto of = [&](const Matrix& all) { return Matrix(all(Eigen::all, columns)); };
  const Matrix dz = of(dz_), a = of(a_);
  collect_keys(block, dz, a);
  if (model_ != nullptr) bound_keys(dz, of(edz_), a, of(ea_));
  return share_;
}

template <class Terms>
void HeadBackward<Terms>::find_differences(const BackwardKeys& keys, const BackwardBlock& block) {
  set_block(keys, block);
  for (Eigen::Index r = 0; r < s_.rows(); ++r) weigh(keys, block, r);
  o_.noalias() = a_ * keys.v;
  if (model_ != nullptr) wo_.noalias() = w_ * abs_v_;
  for (Eigen::Index r = 0; r < s_.rows(); ++r) differentiate(block, r);
}

/// Row r of P, from its dot products.
template <class Terms>
void HeadBackward<Terms>::weigh(const BackwardKeys& keys, const BackwardBlock& block,
                                Eigen::Index r) {
  const Eigen::Index count = s_.cols();
  const uint8_t* visible = block.visible.data() + r * count;
  const bool any = std::find(visible, visible + count, 1) != visible + count;
  const bool has_sink = block.sink > -std::numeric_limits<double>::infinity();
  if (!any && !has_sink && problem_.fully_masked != FullyMasked::zero) leave_out(r);
  if (!any) {
    sink_p_[r] = has_sink ? 1 : 0;
    return;
  }
  const Row s = scores(block, r);
  if (!is_finite(keys, block, r, s)) return leave_out(r);
  double max = block.sink;
  for (Eigen::Index j = 0; j < count; ++j)
    if (visible[j] != 0) max = std::max(max, s[j]);
  Row p = (s - max).exp();
  double sum = 0, sink = std::exp(block.sink - max);
  for (Eigen::Index j = 0; j < count; ++j) sum += visible[j] != 0 ? p[j] : 0;
  sum += sink;
  of_.weights(problem_, {s, p, max, block.sink, sum, sink});
  const uint8_t* shown = block.shown.empty() ? visible : block.shown.data() + r * count;
  for (Eigen::Index j = 0; j < count; ++j) p[j] = shown[j] != 0 ? p[j] : 0;
  p_.row(r) = p / sum;
  sink_p_[r] = sink / sum;
  if (model_ != nullptr) bound_weights(block, r, s, p, max, sum);
  a_.row(r) = p_.row(r);
  if (block.kept.size() == 0) return;
  a_.row(r).array() *= block.kept.row(r).array();
  if (model_ == nullptr) return;
  ea_.row(r).array() *= block.kept.row(r).array();
  w_.row(r).array() *= block.kept.row(r).array();
}

/// dP, D and dS of row r, and what the scaled products and the sink get.
template <class Terms>
void HeadBackward<Terms>::differentiate(const BackwardBlock& block, Eigen::Index r) {
  if (share_.unchecked[static_cast<size_t>(r)] != 0) return;
  const Row undropped = dp_.row(r), p = p_.row(r), a = a_.row(r);
  if (block.kept.size() > 0) dp_.row(r).array() *= block.kept.row(r).array();
  const Row dp = dp_.row(r);
  double dot = (p * dp).sum();
  of_.row_dot(p, undropped, dp, dot);
  Row slope = slope_.row(r);
  of_.softcap_slope(problem_, slope);
  slope_.row(r) = slope;
  Row ds = p * (dp - dot);
  of_.ds(p, a, dot, ds);
  const Row dz = ds * slope;
  dz_.row(r) = dz;
  Row dbias = problem_.bias_order == BiasOrder::after_softcap ? ds : dz;
  of_.dbias(problem_, ds, dz, dbias);
  share_.ds.value.row(r) = dbias;
  if (model_ != nullptr) bound_differences(block, r, dot);
  if (share_.unchecked[static_cast<size_t>(r)] == 0) share_.dsink -= sink_p_[r] * dot;
}

template <class Terms>
void HeadBackward<Terms>::collect_queries(const BackwardKeys& keys, const BackwardBlock& block) {
  const double scale = problem_.scale_value();
  share_.dq.value.noalias() = scale * (dz_ * keys.k);
  of_.dq(keys, block, a_, slope_, scale, share_.dq.value);
}

template <class Terms>
void HeadBackward<Terms>::collect_keys(const BackwardBlock& block, const Matrix& dz,
                                       const Matrix& a) {
  share_.dk.value.noalias() = problem_.scale_value() * (dz.transpose() * block.q);
  share_.dv.value.noalias() = a.transpose() * block.grad_out;
}

}  // namespace attnfuzz
