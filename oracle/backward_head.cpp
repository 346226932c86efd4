#include "oracle/backward_head.h"

#include <algorithm>
#include <cmath>

namespace attnfuzz {

/// The products of queries and keys, and room for all that is made of them.
void HeadBackward::set_block(const BackwardKeys& keys, const BackwardBlock& block) {
  s_.noalias() = block.q * keys.k.transpose();
  dp_.noalias() = block.grad_out * keys.v.transpose();
  const Eigen::Index rows = s_.rows(), count = s_.cols();
  for (Matrix* matrix : {&p_, &a_, &dz_, &share_.ds.value}) matrix->setZero(rows, count);
  slope_.setOnes(rows, count);
  sink_p_.setZero(rows);
  share_.dsink = share_.dsink_error = 0;
  share_.unchecked.assign(static_cast<size_t>(rows), 0);
  if (model_ == nullptr) return;
  abs_k_ = keys.k.cwiseAbs();
  abs_v_ = keys.v.cwiseAbs();
  abs_q_ = block.q.cwiseAbs();
  abs_g_ = block.grad_out.cwiseAbs();
  largest_v_ = Row::Zero(keys.v.cols());
  if (count > 0) largest_v_ = abs_v_.colwise().maxCoeff();
  k_norm_ = count > 0 ? abs_k_.rowwise().sum().maxCoeff() : 0;
  v_norm_ = count > 0 ? abs_v_.rowwise().sum().maxCoeff() : 0;
  abs_s_.noalias() = abs_q_ * abs_k_.transpose();
  abs_dp_.noalias() = abs_g_ * abs_v_.transpose();
  for (Matrix* matrix : {&ep_, &ea_, &edz_, &w_, &eslope_, &share_.ds.error})
    matrix->setZero(rows, count);
  sink_ep_.setZero(rows);
  errors_.assign(static_cast<size_t>(rows), {});
}

/// A row about which nothing is sure.
void HeadBackward::leave_out(Eigen::Index r) {
  share_.unchecked[static_cast<size_t>(r)] = 1;
  for (Matrix* matrix : {&p_, &a_, &dz_, &share_.ds.value}) matrix->row(r).setZero();
  sink_p_[r] = 0;
  if (model_ == nullptr) return;
  for (Matrix* matrix : {&ep_, &ea_, &edz_, &w_, &share_.ds.error}) matrix->row(r).setZero();
  sink_ep_[r] = 0;
}

/// The scores of row r with bias and softcap, and the softcap's slope.
HeadBackward::Row HeadBackward::scores(const BackwardBlock& block, Eigen::Index r) {
  const bool biased = block.bias.size() > 0;
  Row s = s_.row(r).array() * problem_.scale_value();
  if (biased && problem_.bias_order == BiasOrder::before_softcap) s += block.bias.row(r).array();
  if (const double cap = problem_.softcap; cap > 0) {
    for (Eigen::Index j = 0; j < s.size(); ++j) {
      const double t = std::tanh(s[j] / cap);
      s[j] = cap * t;
      slope_(r, j) = 1 - t * t;
    }
  }
  if (biased && problem_.bias_order == BiasOrder::after_softcap) s += block.bias.row(r).array();
  return s;
}

/// Whether all is finite that row r sees or is made of.
bool HeadBackward::is_finite(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r,
                             const Row& s) const {
  const uint8_t* visible = block.visible.data() + r * s.size();
  for (Eigen::Index j = 0; j < s.size(); ++j)
    if (visible[j] != 0 && (keys.finite[static_cast<size_t>(j)] == 0 || !std::isfinite(s[j])))
      return false;
  return block.q.row(r).allFinite() && block.grad_out.row(r).allFinite();
}

const BackwardShare& HeadBackward::run(const BackwardKeys& keys, const BackwardBlock& block) {
  find_differences(keys, block);
  collect_queries(keys, block);
  collect_keys(block, dz_, a_);
  if (model_ == nullptr) return share_;
  bound_queries();
  bound_keys(dz_, edz_, a_, ea_);
  return share_;
}

const BackwardShare& HeadBackward::run(const BackwardKeys& keys, const BackwardBlock& block,
                                       const std::vector<Eigen::Index>& columns) {
  find_differences(keys, block);
  const auto of = [&](const Matrix& all) { return Matrix(all(Eigen::all, columns)); };
  const Matrix dz = of(dz_), a = of(a_);
  collect_keys(block, dz, a);
  if (model_ != nullptr) bound_keys(dz, of(edz_), a, of(ea_));
  return share_;
}

void HeadBackward::find_differences(const BackwardKeys& keys, const BackwardBlock& block) {
  set_block(keys, block);
  for (Eigen::Index r = 0; r < s_.rows(); ++r) weigh(keys, block, r);
  o_.noalias() = a_ * keys.v;
  if (model_ != nullptr) wo_.noalias() = w_ * abs_v_;
  for (Eigen::Index r = 0; r < s_.rows(); ++r) differentiate(block, r);
}

/// Row r of P, from its dot products.
void HeadBackward::weigh(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r) {
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
  terms_.weights(problem_, {s, p, max, block.sink, sum, sink});
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
void HeadBackward::differentiate(const BackwardBlock& block, Eigen::Index r) {
  if (share_.unchecked[static_cast<size_t>(r)] != 0) return;
  const Row undropped = dp_.row(r), p = p_.row(r), a = a_.row(r);
  if (block.kept.size() > 0) dp_.row(r).array() *= block.kept.row(r).array();
  const Row dp = dp_.row(r);
  double dot = (p * dp).sum();
  terms_.row_dot(p, undropped, dp, dot);
  Row slope = slope_.row(r);
  terms_.softcap_slope(problem_, slope);
  slope_.row(r) = slope;
  Row ds = p * (dp - dot);
  terms_.ds(p, a, dot, ds);
  const Row dz = ds * slope;
  dz_.row(r) = dz;
  Row dbias = problem_.bias_order == BiasOrder::after_softcap ? ds : dz;
  terms_.dbias(problem_, ds, dz, dbias);
  share_.ds.value.row(r) = dbias;
  if (model_ != nullptr) bound_differences(block, r, dot);
  if (share_.unchecked[static_cast<size_t>(r)] == 0) share_.dsink -= sink_p_[r] * dot;
}

void HeadBackward::collect_queries(const BackwardKeys& keys, const BackwardBlock& block) {
  const double scale = problem_.scale_value();
  share_.dq.value.noalias() = scale * (dz_ * keys.k);
  terms_.dq(keys, block, a_, slope_, scale, share_.dq.value);
}

void HeadBackward::collect_keys(const BackwardBlock& block, const Matrix& dz, const Matrix& a) {
  share_.dk.value.noalias() = problem_.scale_value() * (dz.transpose() * block.q);
  share_.dv.value.noalias() = a.transpose() * block.grad_out;
}

}  // namespace attnfuzz
